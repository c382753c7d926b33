// Draw a spectrogram on the time axis, with labels of frequencies.

import { prepare } from "./canvas.js";
import { ramp } from "./colours.js";
import { ROWS, heightOf } from "./spectrogram.js";
import { drawCursor } from "./time-axis.js";

const DYNAMIC_RANGE = 70; // decibels from white to black
const LABELS = [100, 500, 1000, 2000, 5000, 10_000];
const LEAST_TOP = 15; // decibels; so that the noise of a quiet room stays pale. A full sine has about 54

export function drawSpectrogram(canvas, spectrogram, axis, cursor) {
  const { context, width, height } = prepare(canvas);
  if (spectrogram.columns.length) {
    const x = axis.x(spectrogram.start, width);
    context.drawImage(image(spectrogram.columns), x, 0, axis.x(spectrogram.end, width) - x, height);
  }
  drawCursor(context, axis.x(cursor, width), width, height);
}

function image(columns) {
  const top = columns.reduce((most, column) => Math.max(most, ...column), LEAST_TOP);
  const colours = ramp(), data = new ImageData(columns.length, ROWS);
  const pixels = new Uint32Array(data.data.buffer);
  columns.forEach((column, x) => {
    column.forEach((decibels, row) => {
      const level = Math.max(0, Math.round(255 * (1 + (decibels - top) / DYNAMIC_RANGE)));
      pixels[(ROWS - 1 - row) * columns.length + x] = colours[level];
    });
  });
  const canvas = new OffscreenCanvas(columns.length, ROWS);
  canvas.getContext("2d").putImageData(data, 0, 0);
  return canvas;
}

export function labelFrequencies(element, rate) {
  const labels = LABELS.filter((frequency) => frequency < 0.48 * rate).map((frequency) => {
    const label = document.createElement("span");
    label.textContent = frequency < 1000 ? `${frequency} Hz` : `${frequency / 1000} kHz`;
    label.style.bottom = `${100 * heightOf(frequency, rate)}%`;
    return label;
  });
  element.replaceChildren(...labels);
}
