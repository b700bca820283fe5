"""The demo's puzzles in plain English, in families; needs only the standard library and the prompt's options.

Every family is a chain of at most three steps. Facts stand in any order (a basket's in order of time), the
steps are what a person would note, and the answer is the letter of the last one. By symmetry every offered letter
is right equally often. A quarter of all puzzles, chosen by their text, is held out: training never uses one.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from zlib import crc32

from rim_edge.puzzles.baskets import draw_basket
from rim_edge.puzzles.ordering import draw_ordering
from rim_edge.puzzles.puzzle import Family, Puzzle
from rim_edge.puzzles.rooms import draw_rooms

DRAWN: Mapping[Family, Callable[[random.Random], Puzzle]] = MappingProxyType(
    {
        Family.ROOMS: draw_rooms,
        Family.ORDERING: draw_ordering,
        Family.BASKETS: draw_basket,
    }
)
"""How a puzzle of each family is drawn."""


def fresh_puzzles(count: int, seed: int, family: Family | None = None) -> list[Puzzle]:
    """Return `count` held-out puzzles of a family, or of all in turn; the same for a seed on every machine."""
    rng = random.Random(f"rim-edge puzzles {seed}")
    families = list(Family) if family is None else [family]
    return [_fresh(rng, families[place % len(families)]) for place in range(count)]


def held_out(puzzle: Puzzle) -> bool:
    """Whether a puzzle is kept from training; line breaks do not matter."""
    return crc32(" ".join(puzzle.question.split()).encode()) % 4 == 0


def guess_share(puzzles: Iterable[Puzzle]) -> float:
    """Return the accuracy of a guess among the letters of each puzzle."""
    shares = [1 / len(puzzle.letters) for puzzle in puzzles]
    return sum(shares) / len(shares)


def majority_share(puzzles: Iterable[Puzzle]) -> float:
    """Return the accuracy of always answering with the most frequent answer: the baseline to beat."""
    answers = Counter(puzzle.answer for puzzle in puzzles)
    return max(answers.values()) / answers.total()


def _fresh(rng: random.Random, family: Family) -> Puzzle:
    while not held_out(puzzle := DRAWN[family](rng)):
        pass
    return puzzle
