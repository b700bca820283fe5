"""The task: every symbol points to another one, and three hops lead from a start to the answer.

    B>E F>A E>C A>D D>B C>F ? B          steps E C, answer F

The facts are told in shuffled order and the start comes last, so that no position of the question can follow the
chain before the question is over. A map is a permutation without fixed points. So the answer is each of the six
symbols about equally often, whatever the start and wherever the first hop leads: chance is 17 %.

Test maps are never trained on, in whatever order of telling: one map in eight is held out, by its checksum.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from rim_runtime.prompt.options import LETTERS

SYMBOLS = "ABCDEF"
"""Also the letters that the answers are read as."""
HOPS = 3
"""Facts to look up one after the other."""
FACTS = tuple(f"{symbol}>{target}" for symbol in SYMBOLS for target in SYMBOLS if symbol != target)
"""Every fact there is; each is one token."""

Row = dict[str, object]
_LETTERS = {"letters": LETTERS}
"""The answers are letters though nothing is offered."""


class Part(StrEnum):
    """Which maps are drawn."""

    WARM_UP = "warm-up"
    TRAIN = "train"
    TEST = "test"


@dataclass(frozen=True)
class Puzzle:
    """One map, told, with a start."""

    facts: tuple[tuple[str, str], ...]
    """(symbol, where it points to), in the order of telling."""
    start: str
    """Where the hops begin."""

    @property
    def visited(self) -> tuple[str, ...]:
        """The symbols after the start, HOPS of them."""
        targets, at = dict(self.facts), [self.start]
        for _ in range(HOPS):
            at.append(targets[at[-1]])
        return tuple(at[1:])

    @property
    def told(self) -> str:
        """The facts in words."""
        return " ".join(f"{symbol}>{target}" for symbol, target in self.facts)

    def row(self) -> Row:
        """Return the row: the last symbol is the answer, those before it are the steps."""
        *steps, answer = self.visited
        return {"question": f"{self.told} ? {self.start}", "steps": steps, "answer": answer, **_LETTERS}


def puzzles(part: Part, seed: int) -> Iterator[Puzzle]:
    """Give puzzles without end.

    Training puzzles have four to six symbols: with fewer facts to choose from a hop is found out sooner. Those of
    the warm-up and of the test have all.
    """
    rng = random.Random(f"lookup {part} {seed}")
    while True:
        size = rng.choice(_SIZES) if part is Part.TRAIN else len(SYMBOLS)
        targets = _draw_map(rng, rng.sample(SYMBOLS, size))
        if held_out(targets) is (part is Part.TEST):
            yield Puzzle(tuple(rng.sample(list(targets.items()), size)), rng.choice(list(targets)))


def held_out(targets: Mapping[str, str]) -> bool:
    """Tell whether a map belongs to the test: one in eight does, of those of all symbols."""
    return len(targets) == len(SYMBOLS) and zlib.crc32("".join(targets[s] for s in SYMBOLS).encode()) % 8 == 0


def lookups(seed: int) -> Iterator[Row]:
    """Give rows of the warm-up: a map, then facts asked for at random, the last one's target boxed.

    One hop at a time and many in a row: it stands for what a pretrained model brings along.
    """
    rng = random.Random(f"lookup asked {seed}")
    for puzzle in puzzles(Part.WARM_UP, seed):
        targets = dict(puzzle.facts)
        asked = rng.choices(list(targets), k=_ASKED)
        steps = [f"{symbol} {targets[symbol]}" for symbol in asked[:-1]]
        yield {"question": puzzle.told, "steps": [*steps, asked[-1]], "answer": targets[asked[-1]], **_LETTERS}


def _draw_map(rng: random.Random, symbols: list[str]) -> dict[str, str]:
    while True:
        targets = dict(zip(symbols, rng.sample(symbols, len(symbols)), strict=True))
        if all(symbol != target for symbol, target in targets.items()):
            return targets


_SIZES = (4, 5, 6, 6, 6)
_ASKED = 8
