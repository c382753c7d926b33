// What the page shows of a recording: spectrogram, classes over time, and the bars of one moment.

import { drawBars } from "./bars.js";
import { onThemeChange } from "./colours.js";
import { Spectrogram } from "./spectrogram.js";
import { drawSpectrogram, labelFrequencies } from "./spectrogram-view.js";
import { drawStrips } from "./strips.js";
import { TimeAxis, timeText } from "./time-axis.js";
import { windowAt } from "./windows.js";

const $ = (id) => document.getElementById(id);
const SECONDS_PER_COLUMN = 0.02;
const MOST_COLUMNS = 1500; // more than a screen has is of no use

export class View {
  constructor({ classes }, decisions, onSeek) {
    Object.assign(this, { classes, decisions });
    $("cursor").oninput = ({ target }) => onSeek(Number(target.value));
    for (const canvas of [$("spectrogram"), $("strips")]) {
      canvas.addEventListener("click", (event) => this.click(event, onSeek));
    }
    new ResizeObserver(() => this.redraw()).observe($("results"));
    onThemeChange(() => this.redraw());
  }

  show(recording) {
    this.recording = recording;
    this.cursor = recording.start;
    this.decisions.forget();
    const hop = Math.max(SECONDS_PER_COLUMN * recording.rate, recording.end / MOST_COLUMNS);
    this.spectrogram = new Spectrogram(recording.rate, Math.round(hop));
    labelFrequencies($("frequencies"), recording.rate);
    $("scale").textContent = this.decisions.explanation;
    $("results").hidden = false;
    $("empty").hidden = true;
    this.redraw();
  }

  see(scores) {
    this.decisions.see(scores);
    this.redraw();
  }

  // New samples of an open microphone. The cursor follows the newest window.
  follow() {
    this.cursor = this.recording?.end;
    this.redraw();
  }

  moveTo(position) {
    this.cursor = position;
    this.redraw();
  }

  click(event, onSeek) {
    const canvas = event.target.closest("canvas");
    if (canvas && !this.recording.open) onSeek(this.axis.sampleAt(event.offsetX, canvas.clientWidth));
  }

  redraw() {
    if (this.due || !this.recording) return;
    this.due = requestAnimationFrame(() => {
      this.due = null;
      this.draw();
    });
  }

  draw() {
    const { recording, spectrogram, classes, decisions, cursor } = this;
    const { rate, start, end, windows } = recording;
    this.axis = new TimeAxis({ from: start, to: recording.open ? start + recording.limit : end, rate });
    spectrogram.extend(recording);
    drawSpectrogram($("spectrogram"), spectrogram, this.axis, cursor);
    drawStrips($("strips"), { classes, decisions, windows, axis: this.axis, cursor });
    this.axis.draw($("axis"));
    $("playback").hidden = recording.open;
    Object.assign($("cursor"), { min: start, max: end, value: cursor });
    $("cursor").setAttribute("aria-valuetext", timeText(cursor / rate));
    const window = windows.length && windowAt(windows, cursor);
    if (!window) return;
    $("moment").textContent = `From ${timeText(window.start / rate, 2)} to ${timeText(window.end / rate, 2)}`;
    drawBars($("bars"), { classes, decisions, scores: window.scores });
  }
}
