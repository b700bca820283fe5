// @ts-check
/** A bundle's manifest: read, and known by its own hash. */

import { RimError, bundleError } from "./errors.js";
import { LETTERS } from "./options.js";

const SCHEMA_VERSION = 1;

/**
 * @typedef {object} Variant
 * @property {string} name
 * @property {string} precision
 * @property {"letters" | "full"} head
 * @property {string} graph
 * @property {string} data
 * @property {"portable" | "ort"} dialect
 * @property {string} compute
 *
 * @typedef {object} Manifest
 * @property {string} name
 * @property {{head: number[], question_open: string, question_close: string, strip: boolean, tail: number[],
 *   block: number[], blocks: number, prefix: number[], prefix_text: string}} prompt
 * @property {Record<string, number>} letters
 * @property {{question_tokens: number, max_length: number, model_positions: number}} limits
 * @property {Variant[]} variants
 * @property {Record<string, {bytes: number, sha256: string}>} files
 * @property {string} manifest_sha256
 */

/** Read manifest.json. @param {Uint8Array} content @returns {Promise<Manifest>} */
export async function readManifest(content) {
  const body = parse(content);
  if (body.schema_version !== SCHEMA_VERSION)
    throw new RimError(
      "bundle-version",
      `The manifest has schema version ${body.schema_version}, this program reads ${SCHEMA_VERSION}.`,
    );
  const { manifest_sha256: stated, ...rest } = body;
  if (stated !== (await sha256(new TextEncoder().encode(canonical(rest)))))
    throw bundleError("manifest.json was altered: its manifest_sha256 is not the hash of its content.");
  checkNames(body);
  return body;
}

/** Canonical JSON: keys sorted by code point, no spaces, no escapes but those that JSON demands.
 * @param {any} value @returns {string} */
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value && typeof value === "object") {
    const keys = Object.keys(value).sort(byCodePoint);
    return `{${keys.map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(",")}}`;
  }
  if (typeof value === "number" && !Number.isSafeInteger(value))
    throw bundleError(`manifest.json has the number ${value}, expected whole numbers alone.`);
  return JSON.stringify(value);
}

/** SHA-256, hexadecimal. @param {Uint8Array<ArrayBuffer>} content */
export async function sha256(content) {
  if (!globalThis.crypto?.subtle)
    throw new RimError("unavailable", "This page cannot hash: browsers allow it over https and on localhost alone.");
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {Uint8Array} content */
function parse(content) {
  try {
    const body = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(content));
    if (body && typeof body === "object" && "schema_version" in body) return body;
  } catch (error) {
    throw bundleError(`manifest.json is not JSON (${error}).`);
  }
  throw bundleError("manifest.json has no schema_version, expected the manifest of a bundle.");
}

/** @param {Manifest} manifest */
function checkNames(manifest) {
  for (const name of Object.keys(manifest.files))
    if (!name || name === "." || name === ".." || /[/\\:]/u.test(name))
      throw bundleError(`manifest.json lists ${JSON.stringify(name)}, which is no plain file name.`);
  const letters = Object.keys(manifest.letters).join("");
  if (letters.length < 2 || letters !== LETTERS.slice(0, letters.length))
    throw bundleError(`manifest.json has the letters ${letters}, expected A, B, … up to J.`);
}

/** @param {string} one @param {string} other */
function byCodePoint(one, other) {
  const [left, right] = [[...one], [...other]];
  for (let place = 0; place < Math.min(left.length, right.length); place += 1) {
    const apart = Number(left[place].codePointAt(0)) - Number(right[place].codePointAt(0));
    if (apart) return apart;
  }
  return left.length - right.length;
}
