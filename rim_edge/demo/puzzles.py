"""Multi-hop puzzles in plain English: eight rooms, one door out of each, three doors to walk through.

The task of the demo model, and nothing but the standard library: facts are told in shuffled order, the three
steps are the rooms that are visited, the answer is the last of them. By symmetry every letter is the answer
equally often, so that the most frequent letter answers one puzzle in eight.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

ROOMS = "ABCDEFGH"
"""The rooms, which are also the letters of the readout."""
HOPS = 3
"""Doors to walk through."""

_OPENING = "There are eight rooms, A to H, with one door out of each."


class Doors(StrEnum):
    """Which maps are drawn, each uniformly."""

    PERMUTATION = "permutation"
    """Every door leads to another room, and exactly one leads into each: counting doors tells nothing."""
    OTHER = "other"
    """Every door leads to some other room; the one most doors lead to answers about 29 % of these."""
    ANY = "any"
    """A door may lead back into its own room."""


@dataclass(frozen=True)
class Puzzle:
    """One puzzle with its solution."""

    question: str
    """The puzzle's text."""
    steps: tuple[str, ...]
    """The rooms that are visited, in order, without the start."""
    answer: str
    """The last room."""


@dataclass(frozen=True)
class Layout:
    """What a puzzle tells: the doors in the order of telling, and the start."""

    doors: tuple[tuple[str, str], ...]
    """(room, where its door leads to), one for each room that is told of, shuffled."""
    start: str
    """Where the walk begins."""
    separator: str = " "
    """What stands between two sentences: a space or a line break."""

    def puzzle(self) -> Puzzle:
        """Return the puzzle in words, with its solution."""
        facts = [f"The door in {room} leads to {target}." for room, target in self.doors]
        task = f"You start in {self.start} and walk through three doors. In which room are you?"
        steps = walk(dict(self.doors), self.start)
        return Puzzle(self.separator.join([_OPENING, *facts, task]), steps, steps[-1])


def walk(doors: Mapping[str, str], start: str) -> tuple[str, ...]:
    """Return the rooms that are visited behind the start."""
    rooms = [start]
    for _ in range(HOPS):
        rooms.append(doors[rooms[-1]])
    return tuple(rooms[1:])


def draw_layout(
    rng: random.Random, doors: Doors = Doors.PERMUTATION, *, rooms: str = ROOMS, separator: str = " "
) -> Layout:
    """Draw one puzzle's map among `rooms` (two or more), its order of telling and its start."""
    targets = _draw_targets(rng, doors, rooms)
    told = rng.sample(list(zip(rooms, targets, strict=True)), len(rooms))
    return Layout(tuple(told), rng.choice(rooms), separator)


def fresh_puzzles(count: int, seed: int, *, doors: Doors = Doors.PERMUTATION) -> list[Puzzle]:
    """Return `count` puzzles; the same for the same seed on every machine."""
    rng = random.Random(f"rim-edge puzzles {seed}")
    return [draw_layout(rng, doors).puzzle() for _ in range(count)]


def majority_share(puzzles: Iterable[Puzzle]) -> float:
    """Return the accuracy of always answering with the most frequent answer: the baseline to beat."""
    answers = Counter(puzzle.answer for puzzle in puzzles)
    return max(answers.values()) / answers.total()


def _draw_targets(rng: random.Random, doors: Doors, rooms: str) -> Sequence[str]:
    if doors is Doors.ANY:
        return [rng.choice(rooms) for _ in rooms]
    if doors is Doors.OTHER:
        return [rng.choice(rooms.replace(room, "")) for room in rooms]
    while True:
        targets = rng.sample(rooms, len(rooms))
        if all(room != target for room, target in zip(rooms, targets, strict=True)):
            return targets
