"""Items of an evaluation: a question, its right answer, the letters it may be answered with. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rim_runtime.prompt.options import LETTERS, offered_letters

from rim_edge.data.canonical import canonical
from rim_edge.data.rows import Example


@dataclass(frozen=True)
class Item:
    """One question to be scored."""

    question: str
    """The user's text, options included."""
    answer: str
    """The right answer: a letter, or canonical text."""
    letters: str
    """The letters it is answered with; empty for an open answer."""


def items_of(examples: Sequence[Example]) -> list[Item]:
    """Return the items of examples: offered letters, all letters where the answer is one, else an open answer."""
    return [_item(example) for example in examples]


def _item(example: Example) -> Item:
    if len(example.answer) == 1 and example.answer in LETTERS:
        offered = "" if example.denies_options else offered_letters(example.question)
        return Item(example.question, example.answer, offered or LETTERS)
    return Item(example.question, canonical(example.answer), "")


ANSWER_TOKENS = 24
"""Longest open answer in tokens; a longer one is wrong."""
