// @ts-check
/** A bundle that answers. It knows neither browsers nor Node: files and ONNX Runtime are given to it. */

import { readLetters } from "./answer.js";
import { RimError, bundleError, questionError } from "./errors.js";
import { readManifest } from "./manifest.js";
import { offered, rendered, segment } from "./question.js";
import { makeEncoder } from "./tokenizer.js";

/**
 * @typedef {import("./manifest.js").Manifest} Manifest
 * @typedef {import("./manifest.js").Variant} Variant
 * @typedef {{read(name: string): Promise<Uint8Array<ArrayBuffer>>, sha256(name: string): Promise<string>}} BundleFiles
 *   `sha256` is of the very bytes that will be used
 *
 * @typedef {object} Parts
 * @property {BundleFiles} files
 * @property {any} ort the module onnxruntime-web or onnxruntime-node
 * @property {import("./tokenizer.js").TokenizerClass} Tokenizer
 * @property {(variant: Variant, options: object) => Promise<any>} openSession opens a graph; its files were hashed
 * @property {string} [precision] of the variant; the bundle's first that runs, if none is named
 *
 * @typedef {object} Answer
 * @property {string} letter
 * @property {string | null} choice text of the option; null where the question has none
 * @property {Record<string, number>} probabilities of the offered letters; they sum to 1 and are not calibrated
 * @property {number[]} letterLogits of all letters
 * @property {number[]} ids the question's tokens
 * @property {Map<string, string>} offered
 * @property {string} rendered the text that was asked
 * @property {number} blocks
 * @property {number} milliseconds from text to answer
 */

/** Precisions that ONNX Runtime computes on a CPU, in this dialect and arithmetic. */
const RUNS = ["int8", "fp32", "int4", "fp16", "fp8"];
/** Session options without which a precision is refused, or computed otherwise than its graph says. */
const SESSION_OPTIONS = {
  fp8: { session: { disable_quant_qdq: "1" }, optimization: { disable_specified_optimizers: "ConstantFolding" } },
  int4: { session: { qdq_matmulnbits_accuracy_level: "1" } },
};

/** Check a bundle's files and open the variant that is asked for. @param {Parts} parts */
export async function loadEngine({ files, ort, Tokenizer, openSession, precision }) {
  const manifest = await readManifest(await files.read("manifest.json"));
  const variant = chooseVariant(manifest, precision);
  for (const name of ["tokenizer.json", variant.graph, variant.data]) await checkFile(manifest, files, name);
  const json = JSON.parse(new TextDecoder().decode(await files.read("tokenizer.json")));
  const encode = makeEncoder(json, Tokenizer, manifest.limits.question_tokens);
  const extra = SESSION_OPTIONS[/** @type {keyof SESSION_OPTIONS} */ (variant.precision)];
  const session = await openSession(variant, extra ? { extra } : {});
  return new Engine(manifest, variant, encode, session, ort.Tensor);
}

export class Engine {
  /** @param {Manifest} manifest @param {Variant} variant @param {(text: string) => number[]} encode
   * @param {any} session @param {any} Tensor */
  constructor(manifest, variant, encode, session, Tensor) {
    this.manifest = manifest;
    this.variant = variant;
    this.encode = encode;
    this.session = session;
    this.Tensor = Tensor;
    this.letters = Object.keys(manifest.letters);
  }

  /** Answer one question.
   * @param {string} question @param {string[] | null} [choices] null: in the text, if there are any; []: none
   * @param {number | null} [blocks] null: all @returns {Promise<Answer>} */
  async ask(question, choices = null, blocks = null) {
    const start = performance.now();
    const count = this.checkBlocks(blocks ?? this.manifest.prompt.blocks);
    const text = rendered(question, choices);
    const ids = this.encode(segment(text, this.manifest.prompt));
    const options = offered(question, choices);
    if (options.size > this.letters.length)
      throw questionError(`The question offers ${options.size} letters, this model answers ${this.letters.length}.`);
    const letterLogits = await this.run(ids, count);
    const read = readLetters(letterLogits, this.letters, [...options.keys()]);
    const milliseconds = performance.now() - start;
    const choice = options.get(read.letter) ?? null;
    return { ...read, choice, letterLogits, ids, offered: options, rendered: text, blocks: count, milliseconds };
  }

  /** Return the letters' logits. @param {number[]} ids @param {number} blocks */
  async run(ids, blocks) {
    const int64 = (/** @type {number[]} */ values, /** @type {number[]} */ shape) =>
      new this.Tensor("int64", BigInt64Array.from(values, BigInt), shape);
    const outputs = await this.session.run({
      question_ids: int64(ids, [1, ids.length]),
      question_length: int64([ids.length], [1]),
      blocks: int64([blocks], [1]),
    });
    if (this.variant.head === "letters") return Array.from(outputs.letter_logits.data);
    return Object.values(this.manifest.letters).map((id) => outputs.logits.data[id]);
  }

  /** @param {number} blocks */
  checkBlocks(blocks) {
    const most = this.manifest.prompt.blocks;
    if (!Number.isInteger(blocks) || blocks < 0 || blocks > most)
      throw questionError(`Got ${blocks} blocks, expected a whole number from 0 to ${most}.`);
    return blocks;
  }
}

/** @param {Manifest} manifest @param {string} [precision] @returns {Variant} */
function chooseVariant(manifest, precision) {
  const able = manifest.variants.filter((one) => RUNS.includes(one.precision) && one.compute !== "bf16");
  const found = able.find((one) => !precision || one.precision === precision);
  if (found) return found;
  const has = manifest.variants.map((one) => one.name).join(", ");
  throw new RimError("bundle-not-found", `The bundle has no ${precision ?? ""} variant that runs here, it has ${has}.`);
}

/** @param {Manifest} manifest @param {BundleFiles} files @param {string} name */
async function checkFile(manifest, files, name) {
  const entry = manifest.files[name];
  if (!entry) throw bundleError(`manifest.json lists no ${name}.`);
  const found = await files.sha256(name);
  if (found !== entry.sha256)
    throw bundleError(`${name} was altered: its SHA-256 is ${found.slice(0, 12)}…, expected ${entry.sha256.slice(0, 12)}….`);
}
