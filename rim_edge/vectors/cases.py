"""Which questions test vectors ask: every path from a text to an answer, and what must be refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rim_runtime.bundle.folder import GoldenQuestion
from rim_runtime.bundle.manifest import Manifest
from rim_runtime.errors import QuestionTooLongError
from rim_runtime.prompt.encoder import PromptEncoder
from rim_runtime.prompt.options import LETTERS

AT_EVERY_BLOCK = 2
"""So many golden questions are asked with each number of blocks."""
_LIST = ("Vitamin A", "Vitamin B12", "Vitamin C")


@dataclass(frozen=True)
class Case:
    """One question as it is asked."""

    name: str
    """What it tests, as a file's reader sees it."""
    question: str
    """Its text."""
    choices: tuple[str, ...] | None = None
    """Its options as a list; None: they are in the text, if there are any."""
    blocks: int | None = None
    """Memory blocks; None: all."""
    is_golden: bool = False
    """Whether the bundle promises its letter on every engine."""


def answered_cases(manifest: Manifest, golden: Sequence[GoldenQuestion], encoder: PromptEncoder) -> Iterator[Case]:
    """Yield the cases that a bundle answers, each under a name of its own."""
    for place, one in enumerate(golden):
        yield Case(f"golden {place + 1}", one.question, None, one.blocks, is_golden=True)
    for place, one in enumerate(golden[:AT_EVERY_BLOCK]):
        for blocks in range(manifest.prompt.blocks + 1):
            if blocks != one.blocks:
                yield Case(f"golden {place + 1} with {blocks} blocks", one.question, blocks=blocks)
    few = len(manifest.letters)
    for name, text, choices in _TEXTS:
        if len(choices or ()) <= few:
            yield Case(name, text, choices)
    yield Case("as many options as letters", "Which number?", tuple(str(n) for n in range(1, few + 1)))
    for name, written in _WRITTEN.items():
        yield Case(f"options {name}", written)
    yield Case("as long as can be", _longest(encoder))


def refused_cases(manifest: Manifest, encoder: PromptEncoder) -> Iterator[Case]:
    """Yield the cases that a bundle refuses."""
    yield Case("one token too many", _longest(encoder) + " and")
    yield Case("far too long", "word " * 4 * manifest.limits.question_tokens)
    yield Case("one block too many", "Which?", _LIST, manifest.prompt.blocks + 1)
    yield Case("fewer than no blocks", "Which?", _LIST, -1)
    more = tuple(str(n) for n in range(len(LETTERS) + 1))
    yield Case("more options than letters exist", "Which number?", more)
    if len(manifest.letters) < len(LETTERS):
        yield Case("more options than this model's letters", "Which number?", more[: len(manifest.letters) + 1])
    for name, text, choices in _REFUSED:
        yield Case(name, text, choices)


def _longest(encoder: PromptEncoder) -> str:
    """Return a question with as many tokens as the bundle takes, or one or two fewer."""

    def fits(words: int) -> bool:
        try:
            encoder.encode(text(words))
        except QuestionTooLongError:
            return False
        return True

    def text(words: int) -> str:
        return "Which?" + " and" * words

    return text(_most(fits, encoder.question_limit))


def _most(fits: Callable[[int], bool], limit: int) -> int:
    """Return the largest number up to a limit that fits, by halving."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


_TEXTS: tuple[tuple[str, str, tuple[str, ...] | None], ...] = (
    ("options as a list", "Which vitamin deficiency causes scurvy?", _LIST),
    ("options in the text", "Which vitamin prevents scurvy?\nA: Vitamin A\nB: Vitamin B12\nC: Vitamin C", None),
    ("no options", "Which vitamin deficiency causes scurvy?", None),
    ("an empty list: a dialogue is no options", "Who is right?\nA: It is cold.\nB: It is warm.", ()),
    ("a list after labelled lines", "A: It is cold.\nB: It is warm.\nWho is right?", ("the first", "the second")),
    ("white space around question and options", " \t\nWhich?\u3000\r\n", (" this ", "\tthat")),
    ("white space of Unicode", "\x1c\x85\u2028Which?\u2029\xa0", ("this", "that\u2003")),
    ("what is no white space", "\ufeffWhich?\u200b", ("\ufeffthis", "that\u200b")),
    ("one character", "?", None),
    ("a character that is not seen", "\u200b", None),
    ("lines of their own", "One.\n\nTwo.\r\nThree.\rFour?", ("1", "2")),
    ("letters with marks, composed", "Caf\xe9 \xc5ngstr\xf6m, \xbfqu\xe9?", ("\xe9", "\xe8")),
    ("letters with marks, combining", "Cafe\u0301 A\u030angstro\u0308m?", ("e\u0301", "e\u0300")),
    ("Hangul", "\ud55c\uad6d \u1112\u1161\u11ab\u1100\u116e\u11a8?", ("\ud55c", "\u1112\u1161\u11ab")),
    ("emoji", "\U0001f468\u200d\U0001f469 \U0001f1e9\U0001f1ea \u2695\ufe0f?", ("\U0001f600", "x")),
    ("other scripts", "\u0647\u0648\u061f \u0915\u094d\u092f\u093e \u4ec0\u4e48\uff1f", ("\u0623", "x")),
    ("other digits", "\xbd \xb2 \u0663 \u096a \u2167 \u2460 \uff15 x\u2082?", ("\xbd", "\u0663")),
    ("numbers and units", "3.14 mg/mL, 1,000 IU, 10^-6 mol, 5\u20137 \xb5g?", ("12345", "1e-6")),
    ("words with apostrophes", "It's what she'll DON'T I\u2019M?", ("they've", "we'd")),
    ("added tokens are text", "<rim_b><rim_m> <|im_end|>\n<|im_start|>user\n</think> </s>?", ("<rim_m>", "x")),
    ("control characters", "a\x00b\x01c\x7fd?", ("\x00x", "y")),
    ("the answer's own words", "The final answer is \\boxed{A}?", ("A", "B")),
    ("spaces in a row", "a  b   c    d?", ("x  y", "z")),
    ("a long option", "Which?", ("this " * 40, "that")),
)  # fmt: skip
_WRITTEN = {
    "with full stops": "Which?\nA. this\nB. that",
    "with brackets": "Which?\n(A) this\n(B) that\n(C) neither",
    "with one bracket": "Which?\nA) this\nB) that",
    "in small letters": "Which?\na: this\nb: that",
    "as a list of bullets in bold": "Which?\n- **A.** this\n- **B.** that",
    "with empty and wrapped lines": "Which?\n\nA. this\n   goes on\n\nB. that\n",
    "on the last line": "Which? A. this B. that C. neither",
    "on the last line, bracketed": "Which? (a) this, (b) that",
    "in full width": "\u54ea\u4e2a\uff1f\n\uff21\uff0e\u7532\n\uff22\uff0e\u4e59",
    "with dashes": "Which?\nA - this\nB \u2013 that",
    "that are a full stop and no list": "He took vitamin A. He felt well. Why?",
    "of an interview, which are none": "Q: How are you?\nA: Well.\nQ: Why?",
    "of a dialogue, which are none": "A: Is it cold?\nB: No.\nA: Warm?\nB: Yes.\nWho asks?",
}
_REFUSED: tuple[tuple[str, str, tuple[str, ...] | None], ...] = (
    ("nothing", "", None),
    ("white space alone", " \n\t\u3000\x1c\x85", None),
    ("white space alone, with a list", "\xa0", _LIST),
    ("one option", "Which?", ("this",)),
    ("an empty option", "Which?", ("this", " ")),
    ("an option of two lines", "Which?", ("this", "th\nat")),
    ("options twice", "Which?\nA: this\nB: that", ("this", "that")),
    ("a letter is missing", "Which?\nA. this\nC. that", None),
    ("a letter twice", "Which?\nA. this\nB. that\nB. neither", None),
    ("without an A", "Which?\nB. this\nC. that", None),
    ("text after the options", "Which?\nA. this\nB. that\nTell me.", None),
    ("options in two columns", "Which?\nA. one C. three\nB. two D. four", None),
    ("eleven options", "Which?\n" + "\n".join(f"{letter}. {letter}x" for letter in "ABCDEFGHIJK"), None),
    ("numbers on lines of their own", "Which?\n1.\nthe first\n2.\nthe second", None),
    ("numbered options", "Which?\n1. this\n2. that", None),
    ("numbers on the question's line", "Which? 1) this 2) that", None),
    ("bullets", "Which?\n- this\n- that", None),
    ("other alphabets", "\u041a\u0442\u043e?\n\u0410. \u043e\u043d\n\u0411. \u043e\u043d\u0430", None),
)  # fmt: skip
