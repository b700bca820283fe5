// @ts-check
// Ask a bundle without Python.
//
//     npm install
//     node ask.mjs BUNDLE "Which vitamin prevents scurvy?" -c "Vitamin A" -c "Vitamin C"
//     node ask.mjs BUNDLE --vectors vectors.json
//
// Exit codes are rim-edge's: 0 answered, 1 failed, 2 bad usage or input, 3 a check failed, 4 not available here.

import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";

import { checkVectors } from "../javascript/vectors.js";

const USAGE = `usage: node ask.mjs BUNDLE "QUESTION" [-c CHOICE]... [--blocks N] [--precision NAME] [--threads N] [--json]
       node ask.mjs BUNDLE --vectors FILE [--precision NAME] [--threads N] [--json]`;
const CODES = { question: 2, "question-too-long": 2, "bundle-not-found": 2, usage: 2, vectors: 2, "bundle-corrupt": 3, "bundle-version": 3, unavailable: 4 };

/** @param {string} message @param {string} kind */
const fault = (message, kind) => Object.assign(new Error(message), { kind });

function readArguments() {
  const text = /** @type {const} */ ({ type: "string" });
  const flag = /** @type {const} */ ({ type: "boolean" });
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        choice: { type: "string", short: "c", multiple: true },
        blocks: text, precision: text, threads: text, vectors: text, json: flag, help: { type: "boolean", short: "h" },
      },
    });
    const expected = values.vectors ? 1 : 2;
    if (!values.help && positionals.length !== expected) throw new Error(`${positionals.length} arguments, expected ${expected}`);
    return { ...values, bundle: positionals[0], question: positionals[1] };
  } catch (error) {
    throw fault(`${/** @type {Error} */ (error).message}\n${USAGE}`, "usage");
  }
}

/** @param {string | undefined} text @param {string} name */
function number(text, name) {
  if (text !== undefined && !/^\d+$/u.test(text)) throw fault(`--${name} is ${text}, expected a whole number.`, "usage");
  return text === undefined ? undefined : Number(text);
}

/** @param {string} bundle @param {object} use */
async function open(bundle, use) {
  let module;
  try {
    module = await import("./bundle-folder.js");
  } catch (error) {
    throw fault(`${/** @type {Error} */ (error).message}\nRun this first, beside ask.mjs: npm install`, "unavailable");
  }
  return module.openBundle(bundle, use);
}

async function main() {
  const asked = readArguments();
  if (asked.help) return console.log(USAGE);
  const use = { precision: asked.precision, threads: number(asked.threads, "threads") };
  const blocks = number(asked.blocks, "blocks");
  const start = performance.now();
  const engine = await open(asked.bundle, use);
  const loadedMs = performance.now() - start;
  if (asked.vectors) return compare(engine, asked.vectors, Boolean(asked.json));
  const answer = await engine.ask(asked.question, asked.choice ?? null, blocks ?? null);
  const { letter, choice, probabilities } = answer;
  if (asked.json) {
    const said = { letter, choice, probabilities, blocks: answer.blocks, precision: engine.variant.precision };
    return console.log(JSON.stringify({ ...said, load_ms: loadedMs, latency_ms: answer.milliseconds }));
  }
  console.log(choice === null ? letter : `${letter}: ${choice}`);
  for (const [one, share] of Object.entries(probabilities)) console.log(`  ${one}  ${(100 * share).toFixed(1).padStart(5)} %`);
  const told = `${engine.manifest.name} · ${answer.blocks} blocks · ${engine.variant.name}`;
  console.log(`${told} · loaded in ${loadedMs.toFixed(0)} ms · answered in ${answer.milliseconds.toFixed(1)} ms`);
  return undefined;
}

/** @param {import("../javascript/engine.js").Engine} engine @param {string} file @param {boolean} asJson */
async function compare(engine, file, asJson) {
  let vectors;
  try {
    vectors = JSON.parse(await readFile(file, "utf-8"));
  } catch (error) {
    throw fault(`${file} cannot be read as vectors (${/** @type {Error} */ (error).message}).`, "question");
  }
  const found = await checkVectors(engine, vectors);
  const { faults, ...figures } = found;
  if (asJson) console.log(JSON.stringify({ ...figures, tolerance: vectors.tolerance, faults }));
  else {
    console.log(`${found.letters} of ${found.cases} letters equal, ${found.near} differ near a tie; ${found.refusals} refusals asked`);
    console.log(`logits within ${found.logit.toPrecision(3)} (allowed ${vectors.tolerance.logit}), probabilities within ` +
      `${found.probability.toPrecision(3)} (allowed ${vectors.tolerance.probability}), ${(found.milliseconds / found.cases).toFixed(1)} ms each`);
    for (const one of faults) console.log(`fault: ${one}`);
  }
  if (faults.length) process.exitCode = 3;
}

main().catch((error) => {
  console.error(`error: ${error.message}`);
  process.exitCode = CODES[/** @type {keyof CODES} */ (error.kind)] ?? 1;
});
