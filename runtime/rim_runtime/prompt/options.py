"""The options of a multiple-choice question: find them in its text, or add a list of them to it.

The form that a model was trained on is the model card's: the question ends with lines `A: text`, `B: text`, ….
`render_options` writes it and `offered_options` finds it. People write other forms (`A. text`, `(A) text`, all on
one line): `read_options` finds those too, or says what it found. It only reads which letters are offered; the
text that the model sees does not change.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from rim_runtime.errors import QuestionError
from rim_runtime.prompt.unread_options import unread_list

LETTERS = "ABCDEFGHIJ"
"""All letters that a readout can answer (the card: up to ten options)."""

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_AT_LINE_START = re.compile(
    r"""\s* (?: [-*•]\s+ )? [*_]{0,2}                  # a bullet, bold
        (?: [(\[（] \s* ([A-Za-zＡ-Ｚａ-ｚ]) \s* [)\]）] [.:]?  # (A)  [A]
          | ([A-Za-zＡ-Ｚａ-ｚ]) \s? [.:)\]．：）、] [):]?      # A.  A:  A)  A .
          | ([A-Za-zＡ-Ｚａ-ｚ]) \s+ [-–—] (?=\s)       # A - text
        ) [*_]{0,2} \s* (.*)""",
    re.VERBOSE,
)
_INSIDE_LINE = re.compile(r"(?:^|(?<=[\s,;?!.:]))(\(([A-Za-z])\)|([A-Z])([.:)]))(?=\s)")
"""Markers inside a line: `(a)`, or a capital letter with one sign; so `e.g. a: …` is not a marker."""


def offered_options(question: str) -> dict[str, str]:
    """Return the options at the end of the question as `{letter: text}`, or `{}` if there are none.

    Options are the lines `A: `, `B: `, … in order, at least two, with which the text ends.
    """
    lines = question.rstrip().split("\n")
    letter, colon, _ = lines[-1].partition(":")
    count = LETTERS.find(letter) + 1 if colon and len(letter) == 1 else 0
    if count < 2 or count > len(lines):
        return {}
    run = dict(zip(LETTERS, lines[-count:], strict=False))
    if not all(line.startswith(f"{letter}: ") for letter, line in run.items()):
        return {}
    return {letter: line[3:].strip() for letter, line in run.items()}


def read_options(question: str) -> dict[str, str]:
    """Return the options of a question in any of the usual forms as `{letter: text}`, or `{}` if there are none.

    The card's form comes first. Others are `A.`, `A)`, `(A)`, `a:` and the like, with empty lines or wrapped lines
    between them, or all on the last line. Raises QuestionError if lines look like options, but it is not clear
    which letters they offer: a letter is missing or comes twice, there are more than ten, text follows them, or
    they are marked in another way (1., 2., …).
    """
    found = offered_options(question) or _lettered(question)
    if not found and (marks := unread_list(question)):
        raise QuestionError(
            f"The question seems to end in options, marked {marks}, and they are not read like that. End it with "
            "one line an option ('A: text', 'B: text', …) or give the options as a list of choices; if they are "
            "none, put the question after them."
        )
    return found


def _lettered(question: str) -> dict[str, str]:
    """Return the options of a question in one of the other forms."""
    lines = [line.strip() for line in question.split("\n") if line.strip()]
    if not lines:
        return {}
    marked = [_marked(line) for line in lines]
    inside = _inside_line(lines[-1])
    if inside and not marked[-1]:
        return inside
    start = _last(marked, "A")
    if start is None:
        _refuse_a_lost_first(marked)
        return {}
    return _read_lines(lines[start:], marked[start:], follows_others=any(marked[:start])) or inside


def offered_letters(question: str) -> str:
    """Return the letters of `read_options`; empty if there are no options, or if they are not clear."""
    try:
        return "".join(read_options(question))
    except QuestionError:
        return ""


def render_options(question: str, choices: Sequence[str]) -> str:
    """Return the question followed by its choices as lettered lines.

    The question's own text is taken as it is: what looks like options in it (a dialogue of A and B, labelled
    findings) is text, because the choices that were named are the ones meant. Only choices that stand in the
    text already are refused, because they came twice.
    Raises QuestionError for that, for an empty question, fewer than two or more than ten choices, an empty
    choice, or a choice with a line break.
    """
    if not question.strip():
        raise QuestionError("The question is empty, expected some text before its choices.")
    if not 2 <= len(choices) <= len(LETTERS):
        raise QuestionError(
            f"The number of choices is {len(choices)}, expected 2 to {len(LETTERS)}. "
            "Give each choice once, or none for an open question."
        )
    for position, choice in enumerate(choices, start=1):
        if not choice.strip() or "\n" in choice or "\r" in choice:
            raise QuestionError(
                f"Choice {position} is {choice!r}, expected one line of text. Fill it in or leave it out."
            )
    _refuse_twice(question, choices)
    lines = [f"{letter}: {choice}" for letter, choice in zip(LETTERS, choices, strict=False)]
    return "\n".join([question, *lines])


def _refuse_twice(question: str, choices: Sequence[str]) -> None:
    """Refuse choices that the question's text already ends in."""
    try:
        there = read_options(question)
    except QuestionError:  # no clear options: text
        return
    known = {text.casefold() for text in there.values()}
    twice = [choice for choice in choices if choice.strip().casefold() in known]
    if twice:
        raise QuestionError(
            f"The question's text already ends in the options {', '.join(there)}, and the list of choices has "
            f"{twice[0]!r} of them again. Use one of the two."
        )


@dataclass(frozen=True)
class _Marked:
    """A line or a part of one that begins like an option."""

    letter: str
    text: str


def _marked(line: str) -> _Marked | None:
    found = _AT_LINE_START.fullmatch(line)
    if not found:
        return None
    *letters, text = found.groups()
    letter = unicodedata.normalize("NFKC", next(filter(None, letters))).upper()  # a full-width Ａ is an A
    return _Marked(letter, text.strip(" *_"))


def _last(marked: Sequence[_Marked | None], letter: str) -> int | None:
    """Return the index of the last line with this letter."""
    return max((place for place, line in enumerate(marked) if line and line.letter == letter), default=None)


def _read_lines(lines: Sequence[str], marked: Sequence[_Marked | None], *, follows_others: bool) -> dict[str, str]:
    """Return the options of the lines from the last `A` on; `follows_others` says that others come before it."""
    options = [line for line in marked if line]
    letters = "".join(line.letter for line in options)
    in_order = letters == _ALPHABET[: len(letters)]
    loose = None in marked
    if len(letters) < 2 or (loose and not in_order):
        return {}
    if not in_order:
        if set(letters) <= set(LETTERS):
            raise _unclear(letters, "expected A, B, C, … in order, each once")
        return {}  # such as Q and A: an interview
    if marked[-1] is None:
        if follows_others:
            return {}  # a dialogue inside the text
        raise _unclear(letters, f"and then the line {_short(lines[-1])}, expected nothing after them")
    if len(letters) > len(LETTERS):
        raise _unclear(letters, f"expected at most {len(LETTERS)}, A to {LETTERS[-1]}")
    _refuse_more_inside(options)
    return _with_wrapped_lines(lines, marked)


def _with_wrapped_lines(lines: Sequence[str], marked: Sequence[_Marked | None]) -> dict[str, str]:
    """Return the options, each with the lines that belong to it."""
    read: dict[str, str] = {}
    letter = ""
    for line, option in zip(lines, marked, strict=True):
        letter = option.letter if option else letter
        read[letter] = option.text if option else f"{read[letter]} {line}".strip()
    return read


def _refuse_more_inside(options: Sequence[_Marked]) -> None:
    """Refuse options that contain further options, as in two columns."""
    expected = _ALPHABET[len(options)]
    inside = [found[2] or found[3] for option in options for found in _INSIDE_LINE.finditer(option.text)]
    if expected in inside:
        letters = "".join(option.letter for option in options)
        raise _unclear(letters, f"at the starts of lines and {expected} inside one, expected each on its own")


def _inside_line(line: str) -> dict[str, str]:
    """Return the options that follow one another on a line; `{}` if there are none."""
    found = list(_INSIDE_LINE.finditer(line))
    first = max((place for place, mark in enumerate(found) if (mark[2] or mark[3]) in ("A", "a")), default=None)
    if first is None:
        return {}
    run = found[first:]
    letters = "".join(mark[2] or mark[3] for mark in run).upper()
    styles = {mark[4] or "(" for mark in run}
    if len(run) < 2 or letters != LETTERS[: len(run)] or len(styles) > 1 or not _may_begin(line, run[0]):
        return {}
    ends = [mark.start() for mark in run[1:]] + [len(line)]
    texts = [line[mark.end() : end].strip(" ,;") for mark, end in zip(run, ends, strict=True)]
    return dict(zip(letters, texts, strict=True)) if all(texts) else {}


def _may_begin(line: str, first: re.Match[str]) -> bool:
    """Whether options may begin at this marker: `vitamin A. He …` has a full stop, not a list."""
    before = line[: first.start()].rstrip()
    return not before or before[-1] in "?:.!;" or first[4] == ":" or not first[3]


def _refuse_a_lost_first(marked: Sequence[_Marked | None]) -> None:
    """Refuse last lines B, C, … without a line A, which may be part of the question's own line."""
    run = ""
    for line in reversed(marked):
        if line is None:
            break
        run = line.letter + run
    if len(run) > 1 and run == _ALPHABET[1 : len(run) + 1]:
        raise _unclear(run, "without a line A")


def _unclear(letters: str, what: str) -> QuestionError:
    shown = ", ".join(letters[:12]) + (", …" if len(letters) > 12 else "")
    return QuestionError(
        f"The question seems to have options, and which letters it offers is not clear: found {shown}, {what}. "
        "End it with one line an option ('A: text', 'B: text', …) or give the options as a list of choices; "
        "if they are none, begin those lines otherwise ('Sample A: …')."
    )


def _short(line: str) -> str:
    return repr(line if len(line) <= 40 else f"{line[:39]}…")
