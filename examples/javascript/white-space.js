// @ts-check
/** White space as bundles mean it: what Python's `str.isspace` says. JavaScript's own set differs: it has U+FEFF, and
 * lacks U+001C to U+001F and U+0085. */

/** For use inside the brackets of a regular expression. */
export const WHITE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

const AT_START = new RegExp(`^[${WHITE}]+`, "u");
const AT_END = new RegExp(`[${WHITE}]+$`, "u");

/** @param {string} text */
export const strip = (text) => stripEnd(text.replace(AT_START, ""));

/** @param {string} text */
export const stripEnd = (text) => text.replace(AT_END, "");

/** Remove these characters from both ends. @param {string} text @param {string} characters */
export function stripOf(text, characters) {
  let start = 0;
  let end = text.length;
  while (start < end && characters.includes(text[start])) start += 1;
  while (end > start && characters.includes(text[end - 1])) end -= 1;
  return text.slice(start, end);
}
