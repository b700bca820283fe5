/** Answers in a thread of its own: { id, task, given } comes in, { id, result | error | step } goes out. */

import { checkVectors } from "./javascript/vectors.js";
import { openBundle } from "./bundle-site.js";

/** @type {Promise<import("./javascript/engine.js").Engine> | undefined} */
let opened;

const TASKS = {
  async open() {
    const start = performance.now();
    opened ??= openBundle(new URL("bundle/", import.meta.url));
    const { manifest, variant } = await opened;
    return {
      name: manifest.name,
      blocks: manifest.prompt.blocks,
      variant: variant.name,
      isToy: manifest.name === "demo",
      threads: globalThis.crossOriginIsolated ? "several threads" : "one thread",
      milliseconds: performance.now() - start,
    };
  },
  /** @param {{question: string, choices: string[] | null, blocks: number}} given */
  async ask({ question, choices, blocks }) {
    const { letter, choice, probabilities, offered, milliseconds, blocks: used } = await (await ready()).ask(question, choices, blocks);
    return { letter, choice, probabilities, options: Object.fromEntries(offered), blocks: used, milliseconds };
  },
  /** @param {object} _ @param {(step: object) => void} tell */
  async check(_, tell) {
    const reply = await fetch(new URL("vectors.json", import.meta.url));
    if (!reply.ok) throw new Error("There is no vectors.json here. Make it: rim-edge bundle vectors demo vectors.json; then: node build.js --vectors vectors.json");
    const vectors = await reply.json();
    const found = await checkVectors(await ready(), vectors, (done, total) => tell({ done, total }));
    return { ...found, tolerance: vectors.tolerance };
  },
};

async function ready() {
  if (!opened) throw new Error("No bundle is open.");
  return opened;
}

addEventListener("message", async ({ data: { id, task, given } }) => {
  try {
    const result = await TASKS[/** @type {keyof TASKS} */ (task)](given, (step) => postMessage({ id, step }));
    postMessage({ id, result });
  } catch (error) {
    postMessage({ id, error: /** @type {Error} */ (error).message });
  }
});
