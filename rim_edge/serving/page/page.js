"use strict";

const $ = (id) => document.getElementById(id);
let model = null, given = null;

const percent = (share) => `${(100 * share).toFixed(1)} %`;
const show = (id, is) => { $(id).hidden = !is; };

async function begin() {
  model = await (await fetch("health")).json();
  const says = [model.letters.length ? "letters" : "", model.text ? "text" : "", model.trace ? "trace" : ""].filter(Boolean);
  $("model").textContent = `${model.bundle} · ${model.engine} · ${model.precision} · ${says.join(", ")}`;
  document.title = `${model.bundle} · rim-edge`;
}

function body() {
  const options = $("options").value.split("\n").map((line) => line.trim()).filter(Boolean);
  const asked = { question: $("question").value };
  if (options.length) asked.options = options;
  return asked;
}

function hasOptions(asked) {
  return Boolean(asked.options) || /(^|\n)\s*\(?B[):.]/.test(asked.question);
}

async function post(path, asked) {
  const reply = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(asked),
    signal: given.signal,
  });
  if (!reply.ok) throw new Error((await reply.json()).error.message);
  return reply;
}

function bars(probabilities, best, options = []) {
  const rows = Object.entries(probabilities).map(([letter, share], place) => {
    const row = document.createElement("tr");
    if (letter === best) row.className = "best";
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = options[place] && options[place] !== letter ? `${letter}   ${options[place]}` : letter;
    const bar = document.createElement("td");
    bar.className = "bar";
    const meter = document.createElement("meter");
    meter.value = share;
    meter.setAttribute("aria-hidden", "true");
    bar.append(meter);
    const told = document.createElement("td");
    told.className = "share";
    told.textContent = percent(share);
    row.append(head, bar, told);
    return row;
  });
  $("bars").tBodies[0].replaceChildren(...rows);
  show("bars", true);
}

async function letter(asked) {
  const answer = await (await post("ask", asked)).json();
  $("headline").textContent = answer.choice && answer.choice !== answer.letter ? `${answer.letter}: ${answer.choice}` : answer.letter;
  bars(answer.probabilities, answer.letter, asked.options);
  $("ran").textContent = `${answer.blocks} memory blocks · ${answer.engine} · ${answer.precision} · ${answer.latency_ms.toFixed(1)} ms`;
  if (model.trace) await trace(asked);
}

async function trace(asked) {
  const found = await (await post("trace", asked)).json();
  let before = null;
  const steps = found.answers.map((answer, blocks) => {
    const step = document.createElement("div");
    const letter = document.createElement("div");
    letter.textContent = answer.letter;
    if (before !== null && before !== answer.letter) letter.className = "changed";
    before = answer.letter;
    const meter = document.createElement("meter");
    meter.value = answer.confidence;
    const told = document.createElement("div");
    told.textContent = `${Math.round(100 * answer.confidence)} %`;
    meter.setAttribute("aria-hidden", "true");
    step.append(letter, meter, told, `K = ${blocks}`);
    return step;
  });
  $("steps").replaceChildren(...steps);
  show("trace", true);
}

async function text(asked) {
  const reader = (await post("generate", { ...asked, stream: true })).body.pipeThrough(new TextDecoderStream()).getReader();
  show("text", true);
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += value;
    const events = rest.split("\n\n");
    rest = events.pop();
    for (const one of events) {
      const found = JSON.parse(one.slice("data: ".length));
      if (found.error) throw new Error(found.error.message);
      if ("piece" in found) $("text").textContent += found.piece;
      else $("ran").textContent = `${found.tokens.length} tokens${found.ended === "limit" ? ", cut there" : ""} · ${found.engine} · ${found.precision} · first after ${found.first_token_ms.toFixed(0)} ms, all after ${(found.latency_ms / 1000).toFixed(2)} s`;
    }
  }
}

async function ask(event) {
  event.preventDefault();
  given = new AbortController();
  for (const id of ["error", "text", "bars", "trace"]) show(id, false);
  for (const id of ["headline", "text", "ran"]) $(id).textContent = "";
  $("ask").disabled = true;
  show("stop", true);
  show("result", true);
  try {
    const asked = body();
    await ready;
    await (model.text && !hasOptions(asked) ? text(asked) : letter(asked));
  } catch (error) {
    if (error.name !== "AbortError") {
      $("error").textContent = error.message;
      show("error", true);
    }
  } finally {
    $("ask").disabled = false;
    show("stop", false);
  }
}

$("form").addEventListener("submit", ask);
$("stop").addEventListener("click", () => given.abort());
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("form").requestSubmit();
});
/* A link may bring the question: /?question=…&option=…&option=… */
function linked() {
  const link = new URLSearchParams(location.search);
  if (!link.has("question")) return;
  $("question").value = link.get("question");
  $("options").value = link.getAll("option").join("\n");
  $("form").requestSubmit();
}

const ready = begin();
ready.then(linked).catch((error) => { $("error").textContent = `The server does not answer (${error.message}).`; show("error", true); });
