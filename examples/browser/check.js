// @ts-check
/** The page that compares this browser with test vectors. */

import { EngineWorker } from "./engine-worker.js";

/** @type {(id: string) => any} */
const $ = (id) => document.getElementById(id);

try {
  const engine = new EngineWorker();
  const { name, variant, milliseconds } = await engine.do("open");
  $("model").textContent = `${name} · ${variant} · ready after ${(milliseconds / 1000).toFixed(1)} s`;
  const found = await engine.do("check", {}, ({ done, total }) => {
    $("progress").max = total;
    $("progress").value = done;
  });
  const { cases, letters, near, refusals, tolerance, faults } = found;
  $("verdict").textContent =
    `${letters} of ${cases} letters are equal, ${near} differ near a tie; ${refusals} refusals asked; ${faults.length} faults. ` +
    `Logits within ${found.logit.toFixed(3)} (allowed ${tolerance.logit}), probabilities within ${found.probability.toFixed(4)} ` +
    `(allowed ${tolerance.probability}). ${(found.milliseconds / cases).toFixed(1)} ms each, ${(found.milliseconds / 1000).toFixed(1)} s in all.`;
  $("verdict").dataset.found = JSON.stringify(found);
  $("faults").replaceChildren(...faults.map((/** @type {string} */ text) => Object.assign(document.createElement("li"), { textContent: text })));
} catch (error) {
  $("error").textContent = /** @type {Error} */ (error).message;
  $("error").hidden = false;
}
