// Samples and scored windows of one recording. With a limit, it keeps only the newest samples.
// Positions are samples since the start, also after older ones are gone.

export class Recording {
  constructor({ rate, samples = new Float32Array(0), limit = Infinity, open = false }) {
    Object.assign(this, { rate, limit, open, data: samples, windows: [] }); // open: more samples may come
    this.first = 0; // position of data[0]
    this.end = samples.length;
  }

  // The start of what is kept.
  get start() {
    return Math.max(0, this.end - this.limit);
  }

  append(block) {
    let used = this.end - this.first;
    if (used + block.length > this.data.length) {
      const kept = this.samples(this.start, this.end);
      this.data = new Float32Array(2 * this.limit + block.length); // room, so that few blocks need a copy
      this.data.set(kept);
      this.first = this.start;
      used = kept.length;
    }
    this.data.set(block, used);
    this.end += block.length;
  }

  samples(start, end) {
    return this.data.subarray(start - this.first, end - this.first);
  }

  add(window) {
    this.windows.push(window);
    while (this.windows[0].end <= this.start) this.windows.shift();
  }
}
