"""Ordering: who is older than whom, in any order; the question is who comes first, second or third."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

from rim_edge.puzzles.puzzle import (
    COUNTS,
    HOPS,
    LARGEST,
    NAMES,
    PLACES,
    SMALLEST,
    Family,
    Puzzle,
    choosing,
    joined,
)

_NAME = f"(?:{'|'.join(NAMES)})"
FACT = rf"{_NAME} is older than {_NAME}(?![A-Za-z0-9])"
"""A comparison, as a regular expression."""


def facts() -> list[str]:
    """Return every possible fact."""
    return [_fact(name, other) for name, other in itertools.permutations(NAMES, 2)]


def draw_ordering(rng: random.Random, size: int | None = None, hops: int | None = None) -> Puzzle:
    """Draw a puzzle of the first `size` people and ask for the one at place `hops` (any where None).

    Each pair of neighbours is compared once: the whole order follows, and the first is never second in a pair.
    The options are the names in order, so that each name has one letter in all puzzles: its initial.
    """
    count = size or rng.randint(SMALLEST, LARGEST)
    place = hops or rng.randint(1, HOPS)
    people = rng.sample(NAMES[:count], count)
    told = list(itertools.pairwise(people))
    rng.shuffle(told)
    opening = f"{COUNTS[count].capitalize()} friends compare their ages."
    task = f"Who is the {PLACES[place]}oldest?"
    text = joined([opening, *(_fact(*pair) + "." for pair in told), task], rng)
    puzzle = choosing(Family.ORDERING, text, sorted(people), people[:place])
    return replace(puzzle, told=tuple(told))


def _fact(name: str, other: str) -> str:
    return f"{name} is older than {other}"
