// Ask from another language: one process of rim-edge, rows of JSON in, answers out.
//
//     node examples/ask.mjs path/to/bundle [command of rim-edge]
//
// Each row is one line, and so is each answer, in the same order; `id` comes back as it was given.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

const [bundle, command = "rim-edge", ...before] = process.argv.slice(2);
if (!bundle) {
  console.error("usage: node ask.mjs path/to/bundle [command of rim-edge]");
  process.exit(2);
}

const edge = spawn(command, [...before, "ask", "--jsonl", "--bundle", bundle], {
  stdio: ["pipe", "pipe", "inherit"],
});
const answers = createInterface({ input: edge.stdout })[Symbol.asyncIterator]();

async function ask(row) {
  edge.stdin.write(JSON.stringify(row) + "\n");
  const { value, done } = await answers.next();
  if (done) throw new Error("rim-edge has ended; stderr says why");
  const answer = JSON.parse(value);
  if (answer.error) throw new Error(answer.error.message);
  return answer;
}

const question = "Which vitamin deficiency causes scurvy?";
const answer = await ask({ id: 1, question, options: ["Vitamin A", "Vitamin B12", "Vitamin C"] });
console.log(`${question} ${answer.choice}`);

try {
  await ask({ id: 2, question, options: ["Vitamin C"] });
} catch (error) {
  console.log(`not answered: ${error.message}`);
}
edge.stdin.end();
