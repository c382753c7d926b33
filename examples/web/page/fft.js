// Power spectrum of real frames by a radix-2 Fourier transform.

export function powerSpectrum(size) {
  const bits = Math.log2(size);
  const angle = (k) => (2 * Math.PI * k) / size;
  const cos = Float64Array.from({ length: size / 2 }, (_, k) => Math.cos(angle(k)));
  const sin = Float64Array.from({ length: size / 2 }, (_, k) => -Math.sin(angle(k)));
  const hann = Float64Array.from({ length: size }, (_, k) => 0.5 - 0.5 * Math.cos(angle(k)));
  const reversed = Uint32Array.from({ length: size }, (_, k) => reverse(k, bits));
  const re = new Float64Array(size), im = new Float64Array(size);

  return (frame) => {
    for (let k = 0; k < size; k++) re[reversed[k]] = frame[k] * hann[k];
    im.fill(0);
    for (let half = 1; half < size; half *= 2) {
      for (let block = 0; block < size; block += 2 * half) {
        for (let k = 0, turn = 0; k < half; k++, turn += size / (2 * half)) {
          butterfly(block + k, block + k + half, cos[turn], sin[turn]);
        }
      }
    }
    return Float64Array.from({ length: size / 2 + 1 }, (_, k) => re[k] ** 2 + im[k] ** 2);
  };

  function butterfly(a, b, c, s) {
    const x = re[b] * c - im[b] * s, y = re[b] * s + im[b] * c;
    re[b] = re[a] - x;
    im[b] = im[a] - y;
    re[a] += x;
    im[a] += y;
  }
}

function reverse(number, bits) {
  let result = 0;
  for (let bit = 0; bit < bits; bit++) result |= ((number >> bit) & 1) << (bits - 1 - bit);
  return result;
}
