// The page's side of the worker: load the model, and score windows of samples.

export class Scorer {
  constructor() {
    this.pending = new Map();
    this.sent = 0;
    this.worker = new Worker(new URL("scorer-worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => this.settle(data);
    this.worker.onerror = (event) => {
      for (const id of this.pending.keys()) this.settle({ id, error: event.message ?? "the worker did not start" });
    };
  }

  settle({ id, result, error }) {
    const { resolve, reject } = this.pending.get(id);
    this.pending.delete(id);
    error ? reject(new Error(error)) : resolve(result);
  }

  ask(kind, rest) {
    const id = this.sent++;
    return new Promise((resolve, reject) => {
      this.pending.set(id, { resolve, reject });
      this.worker.postMessage({ id, kind, ...rest });
    });
  }

  load(fixedSamples) {
    return this.ask("load", { fixedSamples });
  }

  score(samples) {
    return this.ask("score", { samples: samples.slice() }); // a copy, because a view would send its whole buffer
  }
}
