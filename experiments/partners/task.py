"""The task: N items, then a key, by which each symbol has a partner: how many items have theirs here.

    e f c k k7      steps c C m - k D g -, answer C: two of four (by k7 e has c, and c has k)

The tables of the keys are fixed, never told, and learned from the rows. The key comes last, so that little can be
prepared before it: an answer takes N lookups and N searches among the items, in parallel, at one depth.
Step 2i - 1 names item i's partner, step 2i the letter of the item that it is (A the first), or `-`. The answer is
the count, as a letter: A is 0. So the task was made for width: its depth is the same whatever N is.

A repeated row tells the items again after the key, as often as the blocks have room for: a control with as many
positions, and no blocks. A row with its key first lets every item's own position do that item's share: a twin with
the same answers that needs no width behind the question.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

SYMBOLS = tuple("abcdefghijklmnop")
"""What items are."""
KEYS = tuple(f"k{number}" for number in range(1, 9))
"""Each is one token."""
NONE = "-"
"""Says that a partner is not among the items."""
LETTERS = "ABCDEFGHIJ"
"""Items by their place, and counts from 0."""
_MARKS = ("Step", ":", *(str(number) for number in range(1, 17)))
"""What the arm without blocks tells a step's number by."""
WORDS = (*SYMBOLS, *KEYS, NONE, *_MARKS)
"""The language, besides letters and brackets."""
_TABLE_SEED = 7

Row = dict[str, object]


class Part(StrEnum):
    """Which sets of items are drawn; a set with its key is in one of them alone."""

    WARM_UP = "warm-up"
    TRAIN = "train"
    DEV = "dev"
    TEST = "test"


def _table(number: int) -> dict[str, str]:
    """Return a key's partners: a permutation, so partners are not mutual; nothing is its own."""
    rng = random.Random(_TABLE_SEED + number)
    while True:
        partners = rng.sample(SYMBOLS, len(SYMBOLS))
        if all(symbol != partner for symbol, partner in zip(SYMBOLS, partners, strict=True)):
            return dict(zip(SYMBOLS, partners, strict=True))


TABLES = {key: _table(number) for number, key in enumerate(KEYS)}
"""A symbol's partner by each key."""


@dataclass(frozen=True)
class Puzzle:
    """Items and a key."""

    items: tuple[str, ...]
    """In the order of telling."""
    key: str
    """Says which table holds."""

    @property
    def partners(self) -> tuple[str, ...]:
        """Each item's partner."""
        return tuple(TABLES[self.key][item] for item in self.items)

    @property
    def places(self) -> tuple[str, ...]:
        """The letter of the item that each partner is, or NONE."""
        return tuple(
            LETTERS[self.items.index(partner)] if partner in self.items else NONE for partner in self.partners
        )

    @property
    def count(self) -> int:
        """How many items have their partner among them."""
        told = set(self.items)
        return sum(partner in told for partner in self.partners)

    @property
    def steps(self) -> list[str]:
        """Two for each item."""
        return [step for pair in zip(self.partners, self.places, strict=True) for step in pair]

    def row(self) -> Row:
        """Return the row."""
        return self._row(" ".join((*self.items, self.key)))

    def repeated_row(self, tokens: int) -> Row:
        """Return the row with the items told again, until there are so many tokens more."""
        again = (self.items * (tokens // len(self.items) + 1))[:tokens]
        return self._row(" ".join((*self.items, self.key, *again)))

    def key_first_row(self) -> Row:
        """Return the row with the key told before the items."""
        return self._row(" ".join((self.key, *self.items)))

    def warm_up_row(self) -> Row:
        """Return the row of the warm-up: all steps but the last are written, and that one is the answer."""
        *steps, last = self.steps
        return {"question": " ".join((*self.items, self.key)), "steps": steps, "answer": last, "letters": LETTERS}

    def _row(self, question: str) -> Row:
        return {"question": question, "steps": self.steps, "answer": LETTERS[self.count], "letters": LETTERS}


def puzzles(part: Part, items: int) -> Iterator[Puzzle]:
    """Give puzzles of so many items without end; those of the warm-up end in an item that has its partner.

    What is scored has each set of items with its key once, so that questions are independent of each other. Raises
    ValueError where there are no more such sets.
    """
    rng, once = random.Random(f"partners {part} {items}"), part in (Part.DEV, Part.TEST)
    seen: set[tuple[frozenset[str], str]] = set()
    in_vain = 0
    while in_vain < _IN_VAIN:
        puzzle, in_vain = _draw(rng, items), in_vain + 1
        if _part_of(puzzle) is not part or (part is Part.WARM_UP and puzzle.places[-1] == NONE):
            continue
        told = (frozenset(puzzle.items), puzzle.key)
        if once and told in seen:
            continue
        if once:
            seen.add(told)
        in_vain = 0
        yield puzzle
    raise ValueError(f"There are {len(seen)} sets of {items} items for {part}, and more were asked for.")


_IN_VAIN = 100_000
"""Draws in a row without a new set, after which there is taken to be none."""


def _part_of(puzzle: Puzzle) -> Part:
    """Return the part that a set of items belongs to with its key, in whatever order it is told."""
    seed = random.Random(f"{''.join(sorted(puzzle.items))} {puzzle.key}").random()
    return next((part for part, share in _SHARES.items() if seed < share), Part.TRAIN)


_SHARES = {Part.TEST: 0.05, Part.DEV: 0.07, Part.WARM_UP: 0.15}
"""Up to which share of all sets each part has its own; the rest is trained on."""


def _draw(rng: random.Random, items: int) -> Puzzle:
    """Draw a count, each from none to two in three equally often, then items until they have it."""
    wanted = rng.randint(0, 2 * items // 3)
    while True:
        puzzle = Puzzle(tuple(rng.sample(SYMBOLS, items)), rng.choice(KEYS))
        if puzzle.count == wanted:
            return puzzle
