// The horizontal axis that spectrogram and classes share: from samples to pixels, and its labels.

import { prepare } from "./canvas.js";
import { colour } from "./colours.js";

const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600];
const PIXELS_PER_LABEL = 64;

export function timeText(seconds, digits = 1) {
  if (seconds < 60) return `${seconds.toFixed(digits)} s`;
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export class TimeAxis {
  constructor({ from, to, rate }) {
    Object.assign(this, { from, to, rate });
  }

  x(sample, width) {
    return ((sample - this.from) / (this.to - this.from)) * width;
  }

  sampleAt(x, width) {
    return this.from + (x / width) * (this.to - this.from);
  }

  draw(canvas) {
    const { context, width } = prepare(canvas);
    const from = this.from / this.rate, to = this.to / this.rate;
    const step = STEPS.find((size) => ((to - from) / size) * PIXELS_PER_LABEL <= width) ?? STEPS.at(-1);
    context.fillStyle = context.strokeStyle = colour("soft");
    context.font = `12px ${getComputedStyle(canvas).fontFamily}`;
    for (let index = Math.ceil(from / step); index * step <= to; index++) {
      const x = this.x(index * step * this.rate, width), text = timeText(index * step, step < 1 ? 1 : 0);
      const wide = context.measureText(text).width;
      context.fillRect(Math.min(x, width - 1), 0, 1, 4);
      context.fillText(text, Math.min(Math.max(x - wide / 2, 0), width - wide), 17);
    }
  }
}

export function drawCursor(context, x, width, height) {
  context.fillStyle = colour("cursor");
  context.fillRect(Math.min(Math.max(Math.round(x) - 1, 0), width - 2), 0, 2, height);
}
