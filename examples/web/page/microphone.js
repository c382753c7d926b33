// Open the microphone, and hand on blocks of samples. Some browsers record only at the device's own rate.

// Processing for speech would change the sound that the model hears.
const AUDIO = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };

export async function openMicrophone(rate, onBlock) {
  if (!navigator.mediaDevices) throw new Error("a browser gives the microphone only to https and localhost");
  const stream = await navigator.mediaDevices.getUserMedia({ audio: AUDIO });
  const { context, source } = connect(stream, rate);
  const close = () => {
    stream.getTracks().forEach((track) => track.stop());
    return context.close();
  };
  try {
    await context.audioWorklet.addModule(new URL("recorder-worklet.js", import.meta.url));
    const recorder = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0 });
    recorder.port.onmessage = ({ data }) => onBlock(data);
    source.connect(recorder);
    await context.resume();
  } catch (error) {
    await close();
    throw error;
  }
  return { rate: context.sampleRate, close };
}

function connect(stream, rate) {
  for (const options of [{ sampleRate: rate }, {}]) {
    const context = new AudioContext(options);
    try {
      return { context, source: context.createMediaStreamSource(stream) };
    } catch (error) {
      context.close();
      if (!options.sampleRate) throw error;
    }
  }
}
