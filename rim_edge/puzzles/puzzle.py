"""A puzzle: its text, its solution and its facts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from rim_runtime.prompt.options import LETTERS, render_options

LINES_SHARE = 0.1
"""Share of puzzles whose sentences stand on lines of their own."""
NAMES = ("Anna", "Ben", "Cora", "Dan", "Emma", "Finn", "Gina", "Hugo")
"""The people of the puzzles."""
SMALLEST, LARGEST = 4, 8
"""How many rooms, people or options a puzzle has."""
HOPS = 3
"""The most steps of a puzzle."""
COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")
"""Numbers in words."""
PLACES = ("", "", "second ", "third ")
"""Places in an order, in front of a superlative."""


class Family(StrEnum):
    """What a puzzle is about."""

    ROOMS = "rooms"
    """Doors lead from room to room."""
    ORDERING = "ordering"
    """Who is older than whom."""
    BASKETS = "baskets"
    """Apples are put in and taken out."""


@dataclass(frozen=True)
class Puzzle:
    """One puzzle with its solution."""

    family: Family
    """What it is about."""
    question: str
    """Its text, options included."""
    steps: tuple[str, ...]
    """What a person would note on the way, in order; the last one is what is asked for."""
    answer: str
    """The letter of the last step."""
    letters: str
    """The letters that it may be answered with."""
    told: tuple[tuple[str, str], ...] = ()
    """The facts, each as (what is looked up, what is found)."""
    offered: tuple[tuple[str, str], ...] = ()
    """The options as (text, letter)."""
    start: str = ""
    """Where the steps begin; empty where it has to be found out first."""

    def row(self) -> dict[str, object]:
        """Return it as a row of a file; without options its answer is a letter all the same."""
        letters = {} if self.offered else {"letters": LETTERS}
        return {"question": self.question, "steps": list(self.steps), "answer": self.answer, **letters}

    @property
    def text_and_options(self) -> tuple[str, list[str]]:
        """Return the text without its options, and the options as `A: text`."""
        lines = self.question.split("\n")
        first = len(lines) - len(self.offered)
        return "\n".join(lines[:first]), lines[first:]


def joined(sentences: Sequence[str], rng: random.Random) -> str:
    """Return sentences in one line, or, rarely, on lines of their own."""
    return ("\n" if rng.random() < LINES_SHARE else " ").join(sentences)


def choosing(family: Family, text: str, options: Sequence[str], steps: Sequence[str]) -> Puzzle:
    """Return the puzzle of a text that asks to choose the last step among options."""
    letters = LETTERS[: len(options)]
    offered = tuple(zip(options, letters, strict=True))
    answer = dict(offered)[steps[-1]]
    return Puzzle(family, render_options(text, options), tuple(steps), answer, letters, offered=offered)
