// @ts-check
/** Lists at the end of a question that look like options in a form that is not read: 1., 2., …; I., II., …; ① ….
 * Such a question would be answered over letters that nobody offered, so it is refused instead. */

import { WHITE, strip } from "./white-space.js";

const FAMILIES = `
A B C D E F G H I J K L M N O P Q R S T U V W X Y Z
1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20
0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20
I II III IV V VI VII VIII IX X XI XII
① ② ③ ④ ⑤ ⑥ ⑦ ⑧ ⑨ ⑩ ⑪ ⑫
А Б В Г Д Е Ж З И К
А В С D Е F
Α Β Γ Δ Ε Ζ Η Θ Ι Κ
甲 乙 丙 丁 戊
一 二 三 四 五 六 七 八 九 十
أ ب ج د ه
ا ب ج د ه
א ב ג ד ה
`
  .trim()
  .split("\n")
  .map((line) => line.split(" "));

const S = `[${WHITE}]`;
const NO_WORD = "[^\\p{L}\\p{N}]"; // with the underscore
const LABEL = "[A-Za-z0-9İı]{1,4}|[①-⑫]|[А-Яа-яΑ-Ωα-ω甲乙丙丁戊一-十أ-يא-ת]";
const BEFORE = `${NO_WORD}{0,5}(?:(?:option|choice|answer)${S}+)?`;
const AT_LINE_START = new RegExp(
  `^${BEFORE}(?:([①-⑫])` +
    `|(${LABEL})(?!${S}|[.,:/–-]\\p{Nd})${NO_WORD}` + // 1.  I)  А:  but neither "1 tablet" nor "1.5 mg"
    `|(${LABEL})${S}+[-–—]${S}` + // 1 - text
    `|([A-Za-zİı])${S}` + // A text
    `)[^\\n]*$`,
  "iu",
);
const ALONE = new RegExp(`^${BEFORE}(${LABEL})${NO_WORD}{0,4}$`, "iu");
const BULLET = new RegExp(`^${S}*[-*•–—·▪◦☐□○]${S}+[^${WHITE}][^\\n]*$`, "u");
const AFTER_QUESTION = new RegExp(
  `(?:^|(?<=[${WHITE},;]))\\(?(${LABEL})(?:\\)${S}*|[.:]${S}?(?!\\p{Nd}))(?=[^${WHITE}])`,
  "gu",
);
const LETTERS_INSIDE = new RegExp(`(?:^|(?<=[${WHITE},;?!:|]))([A-Za-z])\\)${S}+(?=[^${WHITE}])`, "gu");
const LINE_BREAK = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/u;

/** Return what marks the list with which a question ends; null where it ends in no list. @param {string} question */
export function unreadList(question) {
  const lines = question.split(LINE_BREAK).map(strip).filter(Boolean);
  if (!lines.length) return null;
  return numbering(labels(lines)) ?? numbering(alone(lines)) ?? bullets(lines) ?? inside(lines[lines.length - 1]);
}

/** @param {string[]} lines */
function labels(lines) {
  return lines.map((line) => {
    const found = AT_LINE_START.exec(line);
    return found ? (found[1] ?? found[2] ?? found[3] ?? found[4]) : "";
  });
}

/** Labels on lines of their own; none where the last one does not head the last line. @param {string[]} lines */
function alone(lines) {
  const found = lines.map((line) => ALONE.exec(line)?.[1] ?? "");
  return lines.length > 1 && found[lines.length - 2] && !found[lines.length - 1] ? found.filter(Boolean) : [];
}

/** @param {string[]} given @returns {string | null} */
function numbering(given) {
  const named = given.map((label) => label.toUpperCase());
  for (const family of FAMILIES) {
    const start = named.lastIndexOf(family[0]);
    if (start < 0) continue;
    const run = named.slice(start).filter((label) => family.includes(label));
    const inOrder = run.every((label, place) => label === family[place]);
    if (run.length > 1 && inOrder && named[named.length - 1] === run[run.length - 1])
      return given.slice(start).filter((label) => family.includes(label.toUpperCase())).join(", ");
  }
  return null;
}

/** A list of bullets right after a question mark. @param {string[]} lines */
function bullets(lines) {
  let count = 0;
  while (count < lines.length - 1 && BULLET.test(lines[lines.length - 1 - count])) count += 1;
  const isList = count > 1 && lines[lines.length - 1 - count].endsWith("?");
  return isList ? `${[...lines[lines.length - 1]][0]} …` : null;
}

/** A list on the question's own line: `Which? 1) x 2) y`, or `Which a) x b) y`. @param {string} line */
function inside(line) {
  const listed = line.includes("?") ? line.slice(line.lastIndexOf("?") + 1) : "";
  const after = [...listed.matchAll(AFTER_QUESTION)].map((mark) => mark[1]);
  const letters = [...line.matchAll(LETTERS_INSIDE)]
    .filter((mark) => !inBrackets(line.slice(0, mark.index)))
    .map((mark) => mark[1]);
  return numbering(after) ?? numbering(letters);
}

/** Whether a bracket is open: `(group A)` is no list. @param {string} before */
const inBrackets = (before) => before.split("(").length > before.split(")").length;
