// @ts-check
/** The page: a question in, bars out. */

import { EngineWorker } from "./engine-worker.js";

/** @type {(id: string) => any} */
const $ = (id) => document.getElementById(id);
const engine = new EngineWorker();
const PUZZLES = {
  rooms: ["There are five rooms, A to E, with one door out of each. The door in B leads to E. The door in A leads to D. The door in E leads to C. The door in C leads to A. The door in D leads to B. You start in B and walk through three doors. In which room are you?"],
  ordering: ["Four friends compare their ages. Cora is older than Ben. Dan is older than Cora. Anna is older than Dan. Who is the third oldest?", "Anna", "Ben", "Cora", "Dan"],
  baskets: ["There are 4 apples in a basket. Anna takes out 1. Hugo puts in 3. Cora takes out 5. How many apples are there now?", "0", "1", "2", "3", "4"],
};

/** @param {unknown} error */
function showError(error) {
  $("error").textContent = /** @type {Error} */ (error).message;
  $("error").hidden = false;
}

async function open() {
  const found = await engine.do("open");
  $("model").textContent = `${found.name} · ${found.variant} · ready after ${(found.milliseconds / 1000).toFixed(1)} s · WebAssembly, ${found.threads}`;
  $("toy").hidden = !found.isToy;
  const counts = Array.from({ length: found.blocks + 1 }, (_, place) => found.blocks - place);
  $("blocks").replaceChildren(...counts.map((count) => new Option(count ? String(count) : "0, the control", String(count))));
  $("blocks").disabled = false;
  $("ask").disabled = false;
}

/** @param {Event} event */
async function ask(event) {
  event.preventDefault();
  if ($("ask").disabled) return;
  $("error").hidden = $("result").hidden = true;
  $("ask").disabled = true;
  try {
    const options = $("options").value.split("\n").map((/** @type {string} */ line) => line.trim()).filter(Boolean);
    const question = $("question").value;
    draw(await engine.do("ask", { question, choices: options.length ? options : null, blocks: Number($("blocks").value) }));
  } catch (error) {
    showError(error);
  } finally {
    $("ask").disabled = false;
  }
}

/** @param {any} answer */
function draw(answer) {
  $("headline").textContent = named(answer.letter, answer.choice);
  const rows = Object.entries(answer.probabilities).map(([letter, share]) => bar(letter, answer.options[letter], Number(share), letter === answer.letter));
  $("bars").tBodies[0].replaceChildren(...rows);
  $("ran").textContent = `${answer.blocks} memory blocks · ${answer.milliseconds.toFixed(1)} ms`;
  $("result").hidden = false;
  $("result").scrollIntoView({ block: "nearest" });
}

/** @param {string} letter @param {string | null} choice */
const named = (letter, choice) => (choice && choice !== letter ? `${letter}: ${choice}` : letter);

/** @param {string} letter @param {string} option @param {number} share @param {boolean} isBest */
function bar(letter, option, share, isBest) {
  const row = document.createElement("tr");
  if (isBest) row.className = "best";
  const head = document.createElement("th");
  head.scope = "row";
  head.textContent = named(letter, option);
  const meter = document.createElement("meter");
  meter.value = share;
  meter.setAttribute("aria-hidden", "true");
  const drawn = document.createElement("td");
  drawn.className = "bar";
  drawn.append(meter);
  const told = document.createElement("td");
  told.className = "share";
  told.textContent = `${(100 * share).toFixed(1)} %`;
  row.append(head, drawn, told);
  return row;
}

/** @param {string} question @param {string[]} options */
function fill(question, options) {
  $("question").value = question;
  $("options").value = options.join("\n");
  $("form").requestSubmit();
}

$("form").addEventListener("submit", ask);
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("form").requestSubmit();
});
for (const button of document.querySelectorAll("button.example"))
  button.addEventListener("click", () => {
    const [question, ...options] = PUZZLES[/** @type {keyof PUZZLES} */ (/** @type {HTMLElement} */ (button).dataset.puzzle)];
    fill(question, options);
  });

try {
  await open();
  const link = new URLSearchParams(location.search); // ?question=…&option=…&option=…
  if (link.has("question")) fill(link.get("question") ?? "", link.getAll("option"));
} catch (error) {
  $("model").textContent = "not loaded";
  showError(error);
}
