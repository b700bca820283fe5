// The same without HTTP: one process of rim-edge, lines of JSON in and out, answers as they are ready.
//
//     node lines.mjs [bundle] [command of rim-edge]
//
// `id` tells which request a line belongs to. It needs no port and no extra, and ends with this program.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

const [bundle = "demo", command = "rim-edge", ...before] = process.argv.slice(2);
const edge = spawn(command, [...before, "serve", "--jsonl", "--bundle", bundle], {
  stdio: ["pipe", "pipe", "inherit"],
});
const waiting = new Map(); // id: { pieces, resolve, reject }
let last = 0;

createInterface({ input: edge.stdout }).on("line", (line) => {
  const told = JSON.parse(line);
  const request = waiting.get(told.id);
  if (!request) throw new Error(told.error?.message ?? line); // such as a bundle that cannot be loaded
  if ("piece" in told) return request.pieces(told.piece);
  waiting.delete(told.id);
  if (told.error) request.reject(Object.assign(new Error(told.error.message), told.error));
  else request.resolve(told);
});
edge.on("exit", () => {
  for (const { reject } of waiting.values()) reject(new Error("rim-edge has ended; stderr says why"));
});

/** Send a request; `pieces` gets those of a streamed text. */
function send(request, pieces = () => {}) {
  const id = ++last;
  return new Promise((resolve, reject) => {
    waiting.set(id, { pieces, resolve, reject });
    edge.stdin.write(JSON.stringify({ id, ...request }) + "\n");
  });
}

const options = ["Vitamin A", "Vitamin B12", "Vitamin C"];
const asked = send({ question: "Which vitamin deficiency causes scurvy?", options });
const refused = send({ question: "Which vitamin?", options: ["Vitamin C"] }).catch((error) => error);
const text = { do: "generate", question: "Where is Mary?", stream: true };
let written = "";
const whole = send(text, (piece) => (written += piece)).then(() => written, (error) => `none. ${error.message}`);

const answer = await asked;
console.log(`letter: ${answer.letter}, ${answer.choice}, ${(100 * answer.probabilities[answer.letter]).toFixed(1)} %`);
console.log(`text: ${await whole}`);
const error = await refused;
console.log(`refused (${error.kind}): ${error.message}`);
edge.stdin.end();
