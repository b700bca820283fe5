// @ts-check
/** A question made ready: the text that is tokenized, and the letters that it offers. */

import { questionError } from "./errors.js";
import { LETTERS, readOptions, renderOptions } from "./options.js";
import { strip } from "./white-space.js";

/** @typedef {{question_open: string, question_close: string, strip: boolean}} Template */

/** Return the whole text that the model sees.
 * @param {string} question @param {string[] | null} choices null: they are in the text, if there are any; []: none */
export function rendered(question, choices) {
  const text = strip(question);
  if (!text) throw questionError("The question is empty, expected some text.");
  return choices?.length ? renderOptions(text, choices.map((choice) => strip(choice) || choice)) : text;
}

/** Return the options by letter; empty where the question has none.
 * @param {string} question @param {string[] | null} choices @returns {Map<string, string>} */
export function offered(question, choices) {
  return choices ? new Map(choices.map((choice, place) => [LETTERS[place], choice])) : readOptions(question);
}

/** Return the question segment: the text that is tokenized in one go. @param {string} text @param {Template} template */
export function segment(text, template) {
  if (!text.isWellFormed()) throw questionError("The question is not valid Unicode.");
  return template.question_open + (template.strip ? strip(text) : text) + template.question_close;
}
