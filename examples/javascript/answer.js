// @ts-check
/** From the letters' logits to an answer. */

import { RimError } from "./errors.js";

/** Return the best offered letter and the offered letters' probabilities; without offered ones, all are.
 * @param {number[]} logits in the order of `letters` @param {string[]} letters @param {string[]} offered */
export function readLetters(logits, letters, offered) {
  if (!logits.every(Number.isFinite))
    throw new RimError("broken-logits", "The logits are not finite numbers, so there is no answer.");
  const among = offered.length ? offered : letters;
  const values = among.map((letter) => logits[letters.indexOf(letter)]);
  const top = Math.max(...values);
  const weights = values.map((value) => Math.exp(value - top));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const probabilities = Object.fromEntries(among.map((letter, place) => [letter, weights[place] / total]));
  return { letter: among[values.indexOf(top)], probabilities };
}
