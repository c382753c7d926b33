// Decode a file to mono at the model's sample rate. The browser decodes and resamples.

export async function decode(file, rate) {
  const content = await file.arrayBuffer();
  const decoded = await new OfflineAudioContext(1, 1, rate).decodeAudioData(content);
  return mono(decoded);
}

function mono(buffer) {
  const sum = new Float32Array(buffer.length);
  for (let c = 0; c < buffer.numberOfChannels; c++) {
    const channel = buffer.getChannelData(c);
    for (let i = 0; i < sum.length; i++) sum[i] += channel[i] / buffer.numberOfChannels;
  }
  return sum;
}
