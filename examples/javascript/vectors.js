// @ts-check
/** Compare a runtime with test vectors: the file that `rim-edge bundle vectors` writes. */

import { RimError } from "./errors.js";

/** @typedef {import("./engine.js").Engine} Engine */

/**
 * Ask every question of the file. Texts, tokens and letters must be equal, logits and probabilities within tolerance.
 * @param {Engine} engine @param {any} vectors @param {(done: number, total: number) => void} [progress]
 */
export async function checkVectors(engine, vectors, progress = () => {}) {
  const made = `Make vectors of this one: rim-edge bundle vectors BUNDLE FILE`;
  if (vectors?.schema_version !== 1)
    throw new RimError("vectors", `The vectors' schema version is ${vectors?.schema_version}, expected 1. ${made}`);
  if (vectors.manifest_sha256 !== engine.manifest.manifest_sha256 || vectors.variant !== engine.variant.name)
    throw new RimError(
      "vectors",
      `The vectors are of ${vectors.bundle} (${vectors.variant}), this is ${engine.manifest.name} (${engine.variant.name}), ` +
        `or another export of it. ${made}`,
    );
  const found = { cases: 0, refusals: 0, letters: 0, near: 0, logit: 0, probability: 0, milliseconds: 0, faults: [] };
  const total = vectors.cases.length + vectors.refusals.length;
  for (const one of vectors.cases) {
    await checkCase(engine, one, vectors.tolerance, found);
    progress(++found.cases, total);
  }
  for (const one of vectors.refusals) {
    await checkRefusal(engine, one, found);
    progress(found.cases + ++found.refusals, total);
  }
  return found;
}

/** @param {Engine} engine @param {any} expected @param {any} tolerance @param {any} found */
async function checkCase(engine, expected, tolerance, found) {
  let answer;
  try {
    answer = await engine.ask(expected.question, expected.choices, expected.blocks);
  } catch (error) {
    found.faults.push(`${expected.name}: ${error}`);
    return;
  }
  const exact = {
    rendered: [answer.rendered, expected.rendered],
    question_ids: [answer.ids, expected.question_ids],
    offered: [[...answer.offered], Object.entries(expected.offered)],
  };
  for (const [what, [own, other]] of Object.entries(exact))
    if (JSON.stringify(own) !== JSON.stringify(other)) found.faults.push(`${expected.name}: ${what} differs`);
  const logit = apart(centred(answer.letterLogits), centred(expected.letter_logits));
  const probability = apart(Object.values(answer.probabilities), Object.values(expected.probabilities));
  found.logit = Math.max(found.logit, logit);
  found.probability = Math.max(found.probability, probability);
  found.milliseconds += answer.milliseconds;
  if (logit > tolerance.logit) found.faults.push(`${expected.name}: a logit differs by ${logit}`);
  if (probability > tolerance.probability) found.faults.push(`${expected.name}: a probability differs by ${probability}`);
  if (answer.letter === expected.letter) found.letters += 1;
  else if (expected.near) found.near += 1;
  else found.faults.push(`${expected.name}: answered ${answer.letter}, expected ${expected.letter}`);
}

/** @param {Engine} engine @param {any} expected @param {any} found */
async function checkRefusal(engine, expected, found) {
  try {
    const answer = await engine.ask(expected.question, expected.choices, expected.blocks);
    found.faults.push(`${expected.name}: answered ${answer.letter}, expected a refusal`);
  } catch (error) {
    const kind = /** @type {any} */ (error).kind;
    if (kind !== expected.kind) found.faults.push(`${expected.name}: ${kind ?? error}, expected ${expected.kind}`);
  }
}

/** Take the mean off: what all letters have in common changes no answer. @param {number[]} logits */
function centred(logits) {
  const mean = logits.reduce((sum, value) => sum + value, 0) / logits.length;
  return logits.map((value) => value - mean);
}

/** @param {number[]} one @param {number[]} other */
const apart = (one, other) => Math.max(...one.map((value, place) => Math.abs(value - other[place])));
