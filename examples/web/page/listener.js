// Score a running window of the microphone, one at a time. A slow computer leaves windows out, and stays current.

import { openMicrophone } from "./microphone.js";
import { Recording } from "./recording.js";
import { resample } from "./resample.js";
import { newestWindow } from "./windows.js";

export const KEPT_SECONDS = 20;

export class Listener {
  static async open(model, scorer, handlers) {
    const listener = new Listener(model, scorer, handlers);
    listener.microphone = await openMicrophone(model.sampleRate, (block) => listener.hear(block));
    const { rate } = listener.microphone;
    listener.recording = new Recording({ rate, limit: Math.round(KEPT_SECONDS * rate), open: true });
    return listener;
  }

  constructor(model, scorer, handlers) {
    Object.assign(this, { model, scorer, handlers, busy: false });
  }

  hear(block) {
    if (!this.recording?.open) return;
    this.recording.append(block);
    this.handlers.onSamples();
    if (!this.busy) this.scoreNewest();
  }

  async scoreNewest() {
    const { recording, model } = this;
    const scale = recording.rate / model.sampleRate; // 1, unless the browser records at the device's own rate
    const window = newestWindow(
      recording.end,
      Math.round(model.window * scale),
      Math.round(model.hop * scale),
      recording.windows.at(-1),
    );
    if (!window) return;
    this.busy = true;
    try {
      const heard = recording.samples(window.start, window.end).slice();
      const samples = await resample(heard, recording.rate, model.sampleRate);
      const scores = await this.scorer.score(samples);
      if (recording.open) this.handlers.onWindow(recording, { ...window, scores }, samples);
    } catch (error) {
      this.handlers.onError(error);
    } finally {
      this.busy = false;
    }
  }

  close() {
    this.recording.open = false;
    return this.microphone.close();
  }
}
