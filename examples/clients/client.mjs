// Ask `rim-edge serve` from Node 18 or later: its own fetch, no package.
//
//     node client.mjs [http://127.0.0.1:8765]

const server = process.argv[2] ?? "http://127.0.0.1:8765";

class Refusal extends Error {
  constructor({ kind, message }) {
    super(message);
    this.kind = kind;
  }
}

/** POST an object; return the reply. A refusal says its kind and what to do. */
async function post(path, body) {
  const reply = await fetch(server + path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!reply.ok) throw new Refusal((await reply.json()).error);
  return reply;
}

async function ask(question, options) {
  return (await post("/ask", { question, options })).json();
}

/** Give a text piece by piece, as it is written. */
async function* pieces(question) {
  const reply = await post("/generate", { question, stream: true });
  let rest = "";
  for await (const part of reply.body.pipeThrough(new TextDecoderStream())) {
    const events = (rest + part).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const { piece, error } = JSON.parse(event.slice("data: ".length));
      if (error) throw new Refusal(error); // the text broke off
      if (piece) yield piece; // the last event has none: it is the whole text, and how it came about
    }
  }
}

const options = ["Vitamin A", "Vitamin B12", "Vitamin C"];
const answer = await ask("Which vitamin deficiency causes scurvy?", options);
const share = answer.probabilities[answer.letter];
console.log(`letter: ${answer.letter}, ${answer.choice}, ${(100 * share).toFixed(1)} %`);

try {
  process.stdout.write("text: ");
  for await (const piece of pieces("Where is Mary?")) process.stdout.write(piece);
  console.log();
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  console.log(`none. ${error.message}`);
}

try {
  await ask("Which vitamin?", ["Vitamin C"]);
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  console.log(`refused (${error.kind}): ${error.message}`);
}
