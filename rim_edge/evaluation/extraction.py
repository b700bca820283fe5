r"""Find the answer in a text that a model wrote. Needs no torch.

Marks come first, from the clearest to the faintest: a box (`\boxed{…}`, or the model's own answer prefix), GSM8K's
`####`, "the answer is …". Without any, it is the last number where the right answer is a number, a letter that
stands alone where it is a letter, and else the whole text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from rim_runtime.errors import QuestionError
from rim_runtime.prompt.options import LETTERS, read_options

from rim_edge.data.boxes import OPENING, boxed_text, last_box
from rim_edge.data.canonical import canonical, canonical_like
from rim_edge.data.numbers import exact_number, last_number
from rim_edge.evaluation.items import Item

RESULT = "####"
"""What GSM8K's solutions write before their result."""


class Mark(StrEnum):
    """By what an answer was found in a text."""

    PREFIX = "prefix"
    """The text goes on behind the answer prefix, so its beginning is the answer."""
    BOX = "box"
    """A box that the model opened itself."""
    RESULT = "####"
    """GSM8K's mark."""
    SAID = "said"
    """Words such as "the answer is"."""
    BARE = "bare"
    """None: the last number, a letter alone, or the whole text."""
    NOTHING = "nothing"
    """There is no answer in it."""


@dataclass(frozen=True)
class Found:
    """An answer that was found in a text."""

    answer: str
    """In the form that items compare; empty if there is none."""
    mark: Mark
    """By what."""


def behind_prefix(text: str, item: Item) -> Found:
    """Return the answer that a text begins with, up to the brace that closes its box.

    Of an item with letters it is the first letter A to J, as in the model card's snippet.
    """
    if not item.letters:
        return Found(canonical_like(boxed_text(text), item.answer), Mark.PREFIX)
    letter = re.search(f"[{LETTERS}]", text)
    return Found(letter[0], Mark.PREFIX) if letter else Found("", Mark.NOTHING)


def anywhere(text: str, item: Item, opening: str = OPENING) -> Found:
    """Return the answer of a text that was written freely; `opening` is the model's answer prefix."""
    for mark, piece in _marked(text, opening):
        if answer := _read(piece, item):
            return Found(answer, mark)
    answer = _bare(text, item)
    return Found(answer, Mark.BARE if answer else Mark.NOTHING)


_SAID = re.compile(r"\b(?:answer|option|choice)\b\W*(?:is|would be|=|:)\W*(.+)", re.IGNORECASE)
_ALONE = re.compile(rf"(?<![\w'])\(?([{LETTERS}])\)?(?![\w'])")
_ARTICLE = re.compile(r"(?:A|I) [a-z]")
"""A and I are words too."""


def _marked(text: str, opening: str) -> Iterator[tuple[Mark, str]]:
    boxes = (last_box(text, opening), last_box(text))
    if (box := next((one for one in boxes if one is not None), None)) is not None:
        yield Mark.BOX, box
    _, mark, rest = text.rpartition(RESULT)
    if mark and rest.strip():
        yield Mark.RESULT, rest.strip().split("\n")[0]
    if said := _SAID.findall(text):
        yield Mark.SAID, re.split(r"(?<=[^\d])\.(?:\s|$)", said[-1])[0]


def _read(piece: str, item: Item) -> str:
    """Return the answer of a marked piece; empty if it holds none of the item's kind."""
    if item.letters:
        return _letter(piece, item)
    plain = canonical_like(piece, item.answer)
    if exact_number(item.answer) is None or exact_number(plain) is not None:
        return plain
    number = last_number(piece)
    return "" if number is None else canonical(number)


def _letter(piece: str, item: Item) -> str:
    """Return the first of an item's letters that stands alone, or that of the option that a piece says."""
    alone = (found[1] for found in _ALONE.finditer(piece) if not _ARTICLE.match(piece, found.start(1)))
    if letter := next((one for one in alone if one in item.letters), ""):
        return letter
    said = canonical(piece).casefold()
    options = {letter: canonical(text).casefold() for letter, text in _options(item).items()}
    return next((letter for letter, text in options.items() if text == said), "")


def _options(item: Item) -> dict[str, str]:
    try:
        return read_options(item.question)
    except QuestionError:
        return {}


def _bare(text: str, item: Item) -> str:
    if item.letters:
        first = _ALONE.match(text.strip().lstrip("*"))
        if first and not _ARTICLE.match(text.strip().lstrip("*"), first.start(1)):
            return first[1] if first[1] in item.letters else ""
        alone = [found for found in _ALONE.finditer(text) if not _ARTICLE.match(text, found.start(1))]
        letters = [found[1] for found in alone if found[1] in item.letters]
        return letters[-1] if letters else _letter(text, item)
    if exact_number(item.answer) is None:
        return canonical(text)
    number = last_number(text)
    return "" if number is None else canonical(number)
