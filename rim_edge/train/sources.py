"""Where a run's examples come from: rows of files in a seeded order, or puzzles made on the spot."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol

from rim_edge.demo.puzzles import Doors, Layout, draw_layout, walk
from rim_edge.train.examples import Example, Span


class ExampleSource(Protocol):
    """Gives the examples of the next batch."""

    def draw(self, count: int) -> list[Example]:
        """Return the next `count` examples."""
        ...


class RowSource:
    """Rows in shuffled order, every row once before any comes again."""

    def __init__(self, examples: Sequence[Example], seed: int) -> None:
        self._examples = list(examples)
        self._rng = random.Random(f"rim-edge rows {seed}")
        self._queue: list[Example] = []

    def draw(self, count: int) -> list[Example]:
        """Return the next `count` rows."""
        while len(self._queue) < count:
            self._queue += self._rng.sample(self._examples, len(self._examples))
        drawn, self._queue = self._queue[:count], self._queue[count:]
        return drawn


class PuzzleSource:
    """Fresh puzzles without end, drawn wider than they are asked: all kinds of maps, some on separate lines."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(f"rim-edge training puzzles {seed}")

    def draw(self, count: int) -> list[Example]:
        """Return `count` fresh puzzles."""
        return [self._draw() for _ in range(count)]

    def _draw(self) -> Example:
        kind = self._rng.choices(list(Doors), weights=(5, 4, 1))[0]
        separator = "\n" if self._rng.random() < 0.15 else " "
        return puzzle_example(draw_layout(self._rng, kind, separator), self._rng)


def puzzle_example(layout: Layout, rng: random.Random) -> Example:
    """Return a puzzle as an example whose text stage restates every fact in another order, then the chain."""
    puzzle = layout.puzzle()
    spans = []
    for room, target in rng.sample(layout.doors, len(layout.doors)):
        spans += [Span(f"The door in {room} leads to ", False), Span(target, True), Span(". ", False)]
    spans.append(Span(layout.start, False))
    for room in walk(dict(layout.doors), layout.start):
        spans += [Span(" ", False), Span(room, True)]
    return Example(puzzle.question, puzzle.steps, puzzle.answer, tuple(spans))
