"""Baskets: apples are put in and taken out; the question is how many there are now."""

from __future__ import annotations

import random
from dataclasses import replace

from rim_edge.puzzles.puzzle import HOPS, LARGEST, NAMES, SMALLEST, Family, Puzzle, choosing, joined

HANDFUL = 5
"""The most apples that are moved at a time."""
FACT = r"There are \d apples(?![A-Za-z0-9])| (?:puts in|takes out) \d(?![A-Za-z0-9])"
"""A start or a move, as a regular expression."""


def facts() -> list[str]:
    """Return every possible start and move."""
    moves = [_move(sign * count) for count in range(1, HANDFUL + 1) for sign in (1, -1)]
    return [*(_start(count) for count in range(2, LARGEST)), *moves]


def draw_basket(rng: random.Random, size: int | None = None, hops: int | None = None) -> Puzzle:
    """Draw a puzzle of `hops` moves and the numbers below `size`, three or more (any where None).

    The options are these numbers in order, so that each number has one letter in all puzzles.
    """
    count = size or rng.randint(SMALLEST, LARGEST)
    totals = [rng.randrange(2, count)]
    moves, told = [], []
    for name in rng.sample(NAMES, hops or rng.randint(2, HOPS)):
        total = rng.choice([n for n in range(count) if 0 < abs(n - totals[-1]) <= HANDFUL])
        moves.append(f"{name}{_move(total - totals[-1])}.")
        told.append((name, str(total)))
        totals.append(total)
    text = joined([f"{_start(totals[0])} in a basket.", *moves, "How many apples are there now?"], rng)
    steps = [str(total) for total in totals[1:]]
    puzzle = choosing(Family.BASKETS, text, [str(n) for n in range(count)], steps)
    return replace(puzzle, told=tuple(told), start=str(totals[0]))


def _start(count: int) -> str:
    return f"There are {count} apples"


def _move(change: int) -> str:
    return f" puts in {change}" if change > 0 else f" takes out {-change}"
