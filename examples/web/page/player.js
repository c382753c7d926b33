// Play samples, and report the position while they sound.

export class Player {
  async play(samples, rate, onPosition, onEnd) {
    this.stop();
    const context = (this.context = new AudioContext());
    const buffer = context.createBuffer(1, samples.length, rate);
    buffer.copyToChannel(samples, 0);
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(context.destination);
    await context.resume();
    const began = context.currentTime;
    source.onended = () => this.context === context && (this.stop(), onEnd());
    source.start();
    const report = () => {
      if (this.context !== context) return;
      onPosition(Math.min((context.currentTime - began) * rate, samples.length));
      requestAnimationFrame(report);
    };
    report();
  }

  get playing() {
    return Boolean(this.context);
  }

  stop() {
    this.context?.close();
    this.context = null;
  }
}
