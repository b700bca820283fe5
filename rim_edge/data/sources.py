"""Where a run's examples come from: rows of files in a seeded order."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Protocol

from rim_edge.data.rows import Example
from rim_edge.recipe.switches import Objective


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
    """Several files, drawn in proportion to their weights, each in a shuffled order of its own."""

    def __init__(self, parts: Sequence[Sequence[Example]], weights: Sequence[float], seed: int) -> None:
        self._sources = [RowSource(rows, seed, f"rows of file {place}") for place, rows in enumerate(parts)]
        self._weights = list(weights)
        self._rng = random.Random(f"rim-edge mixture {seed}")

    def draw(self, count: int, objective: Objective) -> list[Example]:
        """Return the next `count` examples of the mixture."""
        chosen = self._rng.choices(self._sources, self._weights, k=count)
        return [source.draw(1, objective)[0] for source in chosen]
