// @ts-check
/** Open a bundle in a folder with ONNX Runtime's own library for Node. */

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";

import { Tokenizer } from "@huggingface/tokenizers";
import ort from "onnxruntime-node";

import { loadEngine } from "../javascript/engine.js";
import { RimError } from "../javascript/errors.js";
import { saturates } from "../javascript/saturation.js";

/** Files below this size are read once, so that what is hashed is what is used; larger ones are mapped. */
const READ_WHOLE = 64_000_000;

/** @param {string} folder @param {{precision?: string, threads?: number}} [use] */
export async function openBundle(folder, { precision, threads = 0 } = {}) {
  const files = bundleFiles(folder);
  return loadEngine({ files, ort, Tokenizer, precision, openSession });

  /** @param {import("../javascript/manifest.js").Variant} variant @param {any} options */
  async function openSession(variant, options) {
    const own = { ...options, intraOpNumThreads: threads, logSeverityLevel: 4 };
    if (variant.precision === "int8" && (await saturates(ort))) own.extra = { session: { x64quantprecision: "1" } };
    if (!(await files.isSmall(variant.data))) return ort.InferenceSession.create(join(folder, variant.graph), own);
    own.externalData = [{ path: variant.data, data: await files.read(variant.data) }];
    return ort.InferenceSession.create(await files.read(variant.graph), own);
  }
}

/** @param {string} folder */
function bundleFiles(folder) {
  /** @type {Map<string, Promise<Uint8Array<ArrayBuffer>>>} */
  const kept = new Map();

  /** @param {string} name @returns {Promise<Uint8Array<ArrayBuffer>>} */
  function read(name) {
    const content = kept.get(name) ?? readFile(join(folder, name)).catch(missing).then((found) => new Uint8Array(found));
    kept.set(name, content);
    return content;
  }

  /** @param {string} name */
  const isSmall = async (name) => (await stat(join(folder, name)).catch(missing)).size < READ_WHOLE;

  /** @param {string} name */
  async function sha256(name) {
    const hash = createHash("sha256");
    if (await isSmall(name)) return hash.update(await read(name)).digest("hex");
    for await (const part of createReadStream(join(folder, name))) hash.update(part);
    return hash.digest("hex");
  }

  return { read, isSmall, sha256 };
}

/** @param {Error} error @returns {never} */
function missing(error) {
  const wanted = "Expected the folder of a bundle: rim-edge bundle copy demo FOLDER makes one.";
  throw new RimError("bundle-not-found", `${error.message}. ${wanted}`);
}
