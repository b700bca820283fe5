// @ts-check
/** The options of a question: found at the end of its text, or added to it from a list (docs/bundle-format.md). */

import { questionError } from "./errors.js";
import { unreadList } from "./unread-options.js";
import { WHITE, strip, stripEnd, stripOf } from "./white-space.js";

export const LETTERS = "ABCDEFGHIJ";
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const S = `[${WHITE}]`;

/** A line that begins like an option: `(A) text`, `A. text`, `A - text`, after a bullet or in bold, if need be. */
const AT_LINE_START = new RegExp(
  `^${S}*(?:[-*•]${S}+)?[*_]{0,2}(?:` +
    `[(\\[（]${S}*([A-Za-zＡ-Ｚａ-ｚ])${S}*[)\\]）][.:]?` +
    `|([A-Za-zＡ-Ｚａ-ｚ])${S}?[.:)\\]．：）、][):]?` +
    `|([A-Za-zＡ-Ｚａ-ｚ])${S}+[-–—](?=${S})` +
    `)[*_]{0,2}${S}*([^\\n]*)$`,
  "u",
);
const INSIDE_LINE = new RegExp(`(?:^|(?<=[${WHITE},;?!.:]))(\\(([A-Za-z])\\)|([A-Z])([.:)]))(?=${S})`, "gu");

/** @typedef {{letter: string, text: string}} Marked */
/** @typedef {Map<string, string>} Options letter to text, in order */

/** Return the question followed by its choices as lettered lines. @param {string} question @param {string[]} choices */
export function renderOptions(question, choices) {
  if (!strip(question)) throw questionError("The question is empty, expected some text before its choices.");
  if (choices.length < 2 || choices.length > LETTERS.length)
    throw questionError(`The number of choices is ${choices.length}, expected 2 to ${LETTERS.length}.`);
  choices.forEach((choice, place) => {
    if (!strip(choice) || /[\r\n]/u.test(choice))
      throw questionError(`Choice ${place + 1} is ${JSON.stringify(choice)}, expected one line of text.`);
  });
  refuseTwice(question, choices);
  return [question, ...choices.map((choice, place) => `${LETTERS[place]}: ${choice}`)].join("\n");
}

/** Return the options at the end of a text in the models' own form, lines `A: `, `B: `, …. @param {string} question */
export function offeredOptions(question) {
  const lines = stripEnd(question).split("\n");
  const last = lines[lines.length - 1];
  const count = last[1] === ":" ? LETTERS.indexOf(last[0]) + 1 : 0;
  if (count < 2 || count > lines.length) return new Map();
  const run = lines.slice(-count);
  if (!run.every((line, place) => line.startsWith(`${LETTERS[place]}: `))) return new Map();
  return new Map(run.map((line, place) => [LETTERS[place], strip(line.slice(3))]));
}

/** Return the options of a question in any form that is read; an empty map without any. @param {string} question */
export function readOptions(question) {
  const own = offeredOptions(question);
  const found = own.size ? own : lettered(question);
  const marks = found.size ? null : unreadList(question);
  if (marks)
    throw questionError(
      `The question seems to end in options, marked ${marks}, and they are not read like that. End it with one ` +
        "line an option ('A: text', 'B: text', …) or give the options as a list of choices.",
    );
  return found;
}

/** @param {string} question @returns {Options} */
function lettered(question) {
  const lines = question.split("\n").map(strip).filter(Boolean);
  if (!lines.length) return new Map();
  const marked = lines.map(markedLine);
  const inside = insideLine(lines[lines.length - 1]);
  if (inside.size && !marked[marked.length - 1]) return inside;
  const start = marked.findLastIndex((line) => line?.letter === "A");
  if (start < 0) {
    refuseLostFirst(marked);
    return new Map();
  }
  const read = readLines(lines.slice(start), marked.slice(start), marked.slice(0, start).some(Boolean));
  return read.size ? read : inside;
}

/** @param {string} line @returns {Marked | null} */
function markedLine(line) {
  const found = AT_LINE_START.exec(line);
  if (!found) return null;
  const letter = (found[1] ?? found[2] ?? found[3]).normalize("NFKC").toUpperCase();
  return { letter, text: stripOf(found[4], " *_") };
}

/** @param {string[]} lines @param {(Marked | null)[]} marked @param {boolean} followsOthers @returns {Options} */
function readLines(lines, marked, followsOthers) {
  const options = marked.filter((line) => line !== null);
  const letters = options.map((line) => line.letter).join("");
  const inOrder = letters === ALPHABET.slice(0, letters.length);
  if (letters.length < 2 || (options.length < marked.length && !inOrder)) return new Map();
  if (!inOrder) {
    if ([...letters].every((letter) => LETTERS.includes(letter)))
      throw unclear(letters, "expected A, B, C, … in order, each once");
    return new Map(); // such as Q and A: an interview
  }
  if (marked[marked.length - 1] === null) {
    if (followsOthers) return new Map(); // a dialogue inside the text
    throw unclear(letters, "and then another line, expected nothing after them");
  }
  if (letters.length > LETTERS.length) throw unclear(letters, `expected at most ${LETTERS.length}`);
  refuseMoreInside(options, letters);
  return withWrappedLines(lines, marked);
}

/** @param {string[]} lines @param {(Marked | null)[]} marked @returns {Options} */
function withWrappedLines(lines, marked) {
  const read = new Map();
  let letter = "";
  lines.forEach((line, place) => {
    const option = marked[place];
    letter = option ? option.letter : letter;
    read.set(letter, option ? option.text : strip(`${read.get(letter)} ${line}`));
  });
  return read;
}

/** @param {Marked[]} options @param {string} letters */
function refuseMoreInside(options, letters) {
  const expected = ALPHABET[options.length];
  const inside = options.flatMap((option) => [...option.text.matchAll(INSIDE_LINE)].map((mark) => mark[2] ?? mark[3]));
  if (inside.includes(expected))
    throw unclear(letters, `at the starts of lines and ${expected} inside one, expected each on its own`);
}

/** Return the options that follow one another on a line. @param {string} line @returns {Options} */
function insideLine(line) {
  const found = [...line.matchAll(INSIDE_LINE)];
  const first = found.findLastIndex((mark) => (mark[2] ?? mark[3]).toUpperCase() === "A");
  if (first < 0) return new Map();
  const run = found.slice(first);
  const letters = run.map((mark) => mark[2] ?? mark[3]).join("").toUpperCase();
  const styles = new Set(run.map((mark) => mark[4] ?? "("));
  if (run.length < 2 || letters !== LETTERS.slice(0, run.length) || styles.size > 1 || !mayBegin(line, run[0]))
    return new Map();
  const ends = [...run.slice(1).map((mark) => mark.index), line.length];
  const texts = run.map((mark, place) => stripOf(line.slice(mark.index + mark[0].length, ends[place]), " ,;"));
  return texts.every(Boolean) ? new Map(texts.map((text, place) => [letters[place], text])) : new Map();
}

/** `vitamin A. He …` has a full stop, not a list. @param {string} line @param {RegExpMatchArray} mark */
function mayBegin(line, mark) {
  const before = stripEnd(line.slice(0, mark.index));
  return !before || "?:.!;".includes(before[before.length - 1]) || mark[4] === ":" || !mark[3];
}

/** Refuse last lines B, C, … without a line A. @param {(Marked | null)[]} marked */
function refuseLostFirst(marked) {
  const run = marked.slice(marked.lastIndexOf(null) + 1).map((line) => line?.letter);
  const letters = run.join("");
  if (run.length > 1 && letters === ALPHABET.slice(1, run.length + 1)) throw unclear(letters, "without a line A");
}

/** @param {string} question @param {string[]} choices */
function refuseTwice(question, choices) {
  let there;
  try {
    there = readOptions(question);
  } catch {
    return; // no clear options: text
  }
  const known = new Set([...there.values()].map(folded));
  const twice = choices.find((choice) => known.has(folded(strip(choice))));
  if (twice !== undefined)
    throw questionError(`The question's text already ends in options, and ${JSON.stringify(twice)} is one of them.`);
}

/** @param {string} text */
const folded = (text) => text.toUpperCase().toLowerCase();

/** @param {string} letters @param {string} what */
function unclear(letters, what) {
  const shown = [...letters].slice(0, 12).join(", ");
  return questionError(
    `The question seems to have options, and which letters it offers is not clear: found ${shown}, ${what}. End it ` +
      "with one line an option ('A: text', 'B: text', …) or give the options as a list of choices.",
  );
}
