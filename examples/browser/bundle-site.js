/** Open a bundle that lies beside the page, with ONNX Runtime in WebAssembly. */

import { Tokenizer } from "./vendored/tokenizers.min.js";
import * as ort from "./vendored/ort.wasm.min.js";

import { loadEngine } from "./javascript/engine.js";
import { bundleError } from "./javascript/errors.js";
import { sha256 } from "./javascript/manifest.js";

const MOST_THREADS = 4;

/** @param {URL} folder */
export function openBundle(folder) {
  const vendored = (/** @type {string} */ name) => new URL(`vendored/${name}`, import.meta.url).href;
  ort.env.wasm.wasmPaths = { mjs: vendored("ort-wasm-simd-threaded.js"), wasm: vendored("ort-wasm-simd-threaded.wasm") };
  ort.env.wasm.numThreads = crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency) : 1;
  ort.env.logLevel = "fatal";

  /** @type {Map<string, Promise<Uint8Array<ArrayBuffer>>>} */
  const kept = new Map();

  /** @param {string} name */
  function read(name) {
    const content = kept.get(name) ?? download(new URL(name, folder));
    kept.set(name, content);
    return content;
  }

  /** @param {import("./javascript/manifest.js").Variant} variant @param {object} options */
  async function openSession(variant, options) {
    const externalData = [{ path: variant.data, data: await read(variant.data) }];
    const session = await ort.InferenceSession.create(await read(variant.graph), {
      ...options, executionProviders: ["wasm"], externalData,
    });
    kept.clear(); // ONNX Runtime has its own copy
    return session;
  }

  const files = { read, sha256: async (/** @type {string} */ name) => sha256(await read(name)) };
  return loadEngine({ files, ort, Tokenizer, openSession });
}

/** @param {URL} address @returns {Promise<Uint8Array<ArrayBuffer>>} */
async function download(address) {
  const reply = await fetch(address);
  if (!reply.ok) throw bundleError(`${address.pathname} cannot be read (${reply.status}). Build the site again.`);
  return new Uint8Array(await reply.arrayBuffer());
}
