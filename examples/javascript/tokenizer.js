// @ts-check
/** From a question segment to token ids, by the bundle's tokenizer.json. */

import { QuestionTooLongError, bundleError } from "./errors.js";

const HUGE_BYTES = 100_000; // texts of up to this size are always encoded
const NFC_SHRINKS = 3; // the most by which NFC shortens UTF-8

/** @typedef {{encode(text: string, options: object): {ids: number[]}}} Encodes */
/** @typedef {new (json: any, config: any) => Encodes} TokenizerClass */

/** Return what encodes a segment, or refuses one that is too long.
 * @param {any} json content of tokenizer.json @param {TokenizerClass} Tokenizer @param {number} limit tokens */
export function makeEncoder(json, Tokenizer, limit) {
  if (json.added_tokens?.length || json.truncation || json.padding)
    throw bundleError("tokenizer.json has added tokens, or cuts or pads what it encodes; expected none of these.");
  const tokenizer = new Tokenizer({ ...json, pre_tokenizer: withoutDigits(json.pre_tokenizer) }, {});
  const longest = Object.keys(json.model.vocab).reduce((most, token) => Math.max(most, [...token].length), 1);
  return (/** @type {string} */ text) => {
    const size = new TextEncoder().encode(text).length;
    const least = Math.floor(size / (NFC_SHRINKS * longest));
    if (size > HUGE_BYTES && least > limit) throw new QuestionTooLongError(least, limit, " or more");
    const { ids } = tokenizer.encode(text, { add_special_tokens: false });
    if (ids.length > limit) throw new QuestionTooLongError(ids.length, limit);
    return ids;
  };
}

/** Put the same rule in the place of `Digits`, which in @huggingface/tokenizers 0.2.0 knows the digits 0 to 9 alone:
 * to the original ½, ² and ٣ are digits too. @param {any} step @returns {any} */
function withoutDigits(step) {
  if (step?.type === "Sequence") return { ...step, pretokenizers: step.pretokenizers.map(withoutDigits) };
  if (step?.type !== "Digits") return step;
  const pattern = { Regex: step.individual_digits ? "\\p{N}" : "\\p{N}+" };
  return { type: "Split", pattern, behavior: "Isolated", invert: false };
}
