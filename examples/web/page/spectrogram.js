// Columns of a spectrogram in decibels, with rows on the mel scale. It is a picture: the model computes its own.

import { powerSpectrum } from "./fft.js";

export const ROWS = 96;
const SECONDS_PER_FRAME = 0.045;
const DECIBELS_BELOW_FLOOR = -120;
const mel = (hertz) => 2595 * Math.log10(1 + hertz / 700);
const hertz = (mels) => 700 * (10 ** (mels / 2595) - 1);

// Where a frequency is on the vertical axis: 0 at the bottom, 1 at half the sample rate.
export const heightOf = (frequency, rate) => mel(frequency) / mel(rate / 2);

export class Spectrogram {
  constructor(rate, hop) {
    this.hop = hop; // samples from column to column; column k begins at sample k * hop
    this.size = 2 ** Math.round(Math.log2(rate * SECONDS_PER_FRAME));
    this.power = powerSpectrum(this.size);
    this.columns = [];
    this.first = 0; // number of the first column that is kept
    this.bands = bandsOf(rate, this.size);
  }

  get start() {
    return this.first * this.hop;
  }

  get end() {
    return (this.first + this.columns.length) * this.hop;
  }

  // Compute the columns that a recording has by now, and drop those before its start.
  extend(recording) {
    const dropped = Math.max(0, Math.floor(recording.start / this.hop) - this.first);
    this.columns.splice(0, dropped);
    this.first += dropped;
    // Without the later samples of its frame, a column of an open recording would be wrong.
    const ready = recording.open ? recording.end - this.size : recording.end;
    for (let start = this.end; start < ready; start += this.hop) {
      this.columns.push(this.column(recording, start));
    }
  }

  column(recording, start) {
    // The frame is around the middle of the column. Zeros are before the start and after the end.
    const begin = start + Math.round((this.hop - this.size) / 2);
    const from = Math.max(begin, recording.start), to = Math.min(begin + this.size, recording.end);
    const frame = new Float32Array(this.size);
    if (to > from) frame.set(recording.samples(from, to), from - begin);
    const power = this.power(frame);
    return this.bands.map(({ from, to }) => {
      let most = 0;
      for (let bin = from; bin < to; bin++) most = Math.max(most, power[bin]);
      return Math.max(10 * Math.log10(most), DECIBELS_BELOW_FLOOR);
    });
  }
}

// The bins of each row. Low rows are narrower than a bin, so each has at least the nearest one.
function bandsOf(rate, size) {
  const edge = (row) => (hertz((mel(rate / 2) * row) / ROWS) * size) / rate;
  return Array.from({ length: ROWS }, (_, row) => {
    const from = Math.round(edge(row));
    return { from, to: Math.max(from + 1, Math.round(edge(row + 1))) };
  });
}
