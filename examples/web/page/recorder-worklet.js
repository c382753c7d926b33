// Runs in the audio thread: collect mono blocks, and hand them to the page.

const BLOCK = 2048; // a message for each quantum of 128 samples would be many

class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.restart();
  }

  restart() {
    this.block = new Float32Array(BLOCK);
    this.used = 0;
  }

  process([channels]) {
    for (let i = 0; i < (channels[0]?.length ?? 0); i++) {
      for (const channel of channels) this.block[this.used] += channel[i] / channels.length;
      if (++this.used === BLOCK) {
        this.port.postMessage(this.block, [this.block.buffer]);
        this.restart();
      }
    }
    return true;
  }
}

registerProcessor("recorder", Recorder);
