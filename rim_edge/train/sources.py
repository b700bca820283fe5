"""Where a run's examples come from: rows of files in a seeded order, or puzzles made on the spot."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Protocol

from rim_edge.demo.puzzles import ROOMS, Doors, Layout, draw_layout
from rim_edge.train.examples import Example, Span
from rim_edge.train.switches import Objective


class ExampleSource(Protocol):
    """Gives the examples of the next batch."""

    def draw(self, count: int, objective: Objective) -> list[Example]:
        """Return the next `count` examples for a stage of this objective."""
        ...


class RowSource:
    """Rows in shuffled order, every row once before any comes again."""

    def __init__(self, examples: Sequence[Example], seed: int, stream: str = "rows") -> None:
        self._examples = list(examples)
        self._rng = random.Random(f"rim-edge {stream} {seed}")
        self._order = self._endless()

    def draw(self, count: int, objective: Objective) -> list[Example]:
        """Return the next `count` rows."""
        del objective
        return list(itertools.islice(self._order, count))

    def _endless(self) -> Iterator[Example]:
        while True:
            yield from self._rng.sample(self._examples, len(self._examples))


class MixtureSource:
    """Several files, each drawn as often as its weight says, each in a shuffled order of its own."""

    def __init__(self, parts: Sequence[Sequence[Example]], weights: Sequence[float], seed: int) -> None:
        self._sources = [RowSource(rows, seed, f"rows of file {place}") for place, rows in enumerate(parts)]
        self._weights = list(weights)
        self._rng = random.Random(f"rim-edge mixture {seed}")

    def draw(self, count: int, objective: Objective) -> list[Example]:
        """Return the next `count` examples of the mixture."""
        chosen = self._rng.choices(self._sources, self._weights, k=count)
        return [source.draw(1, objective)[0] for source in chosen]


class PuzzleSource:
    """Fresh puzzles without end, drawn wider than they are asked: all kinds of maps, some on separate lines.

    Some tell of fewer rooms, most of them in the text stage: with two or three facts to choose from a tiny
    model finds out how to look one up, with eight it stays at chance for long.
    """

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(f"rim-edge training puzzles {seed}")

    def draw(self, count: int, objective: Objective) -> list[Example]:
        """Return `count` fresh puzzles."""
        sizes = _TEXT_SIZES if objective is Objective.TEXT else _SIZES
        return [self._draw(self._rng.choice(sizes)) for _ in range(count)]

    def _draw(self, size: int) -> Example:
        rooms = "".join(self._rng.sample(ROOMS, size))
        kind = self._rng.choices(list(Doors), weights=_DOOR_WEIGHTS)[0]
        separator = "\n" if self._rng.random() < _NEWLINE_SHARE else " "
        layout = draw_layout(self._rng, kind, rooms=rooms, separator=separator)
        return puzzle_example(layout, self._rng)


_TEXT_SIZES = (2, 3, 4, 6, 8, 8)
_SIZES = (3, 5, 8, 8, 8, 8, 8, 8)
_DOOR_WEIGHTS = (5, 4, 1)
_NEWLINE_SHARE = 0.15
_RESTATED = 8


def puzzle_example(layout: Layout, rng: random.Random) -> Example:
    """Return a puzzle as an example whose text stage restates facts in another order, then tells the chain.

    The facts are drawn one by one, so that none follows from those already restated.
    """
    puzzle = layout.puzzle()
    spans = []
    for room, target in rng.choices(layout.doors, k=_RESTATED):
        spans += [Span(f"{room} ", False), Span(target, True), Span(". ", False)]
    spans.append(Span(layout.start, False))
    for room in puzzle.steps:
        spans += [Span(" ", False), Span(room, True)]
    return Example(puzzle.question, puzzle.steps, puzzle.answer, tuple(spans))
