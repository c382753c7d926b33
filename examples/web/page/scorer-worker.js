// Runs the model in a worker, so that the page stays responsive. A message holds samples, the answer scores.

import * as ort from "./ort/ort.wasm.min.mjs";

ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
let session, fixed;

// A recurrent model takes one number of samples. Shorter windows are padded, and their length is a second input.
function inputsOf(samples) {
  const size = fixed ?? samples.length;
  const padded = samples.length === size ? samples : new Float32Array(size);
  if (padded !== samples) padded.set(samples);
  const tensors = [new ort.Tensor("float32", padded, [1, size])];
  if (fixed) tensors.push(new ort.Tensor("int64", [BigInt(samples.length)], [1]));
  return Object.fromEntries(session.inputNames.map((name, index) => [name, tensors[index]]));
}

const answers = {
  async load({ fixedSamples }) {
    fixed = fixedSamples;
    const model = new URL("./model.onnx", import.meta.url).href;
    session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  },
  async score({ samples }) {
    const { scores } = await session.run(inputsOf(samples));
    return scores.data;
  },
};

self.onmessage = async ({ data: { id, kind, ...rest } }) => {
  try {
    self.postMessage({ id, result: await answers[kind](rest) });
  } catch (error) {
    self.postMessage({ id, error: String(error?.message ?? error) });
  }
};
