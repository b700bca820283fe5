"""Rooms: maps that lead from each place to one place, and walks along them."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from enum import StrEnum

from rim_runtime.prompt.options import LETTERS

from rim_edge.puzzles.puzzle import COUNTS, HOPS, LARGEST, SMALLEST, Family, Puzzle, joined


class Maps(StrEnum):
    """Which maps are drawn, each uniformly."""

    PERMUTATION = "permutation"
    """Each place leads to another one, and exactly one leads to each: counting gives no hint."""
    OTHER = "other"
    """Each leads to some other place; among eight, the one most lead to answers about 29 % of three-step walks."""
    ANY = "any"
    """A place may lead to itself."""


def draw_map(rng: random.Random, kind: Maps, places: Sequence[str]) -> dict[str, str]:
    """Draw a map among two or more places, in the places' order."""
    if kind is Maps.ANY:
        return {place: rng.choice(places) for place in places}
    if kind is Maps.OTHER:
        return {place: rng.choice([other for other in places if other != place]) for place in places}
    while True:
        targets = rng.sample(list(places), len(places))
        if all(place != target for place, target in zip(places, targets, strict=True)):
            return dict(zip(places, targets, strict=True))


def walk(leads: Mapping[str, str], start: str, hops: int) -> tuple[str, ...]:
    """Return the places that are visited after the start."""
    places = [start]
    for _ in range(hops):
        places.append(leads[places[-1]])
    return tuple(places[1:])


ROOMS = LETTERS[:LARGEST]
"""All rooms."""
FACT = r"The door in [A-J] leads to [A-J](?![A-Za-z0-9])"
"""A door, as a regular expression."""


def facts() -> list[str]:
    """Return every possible fact."""
    return [_fact(room, target) for room, target in itertools.product(ROOMS, repeat=2)]


def draw_rooms(
    rng: random.Random, size: int | None = None, hops: int = HOPS, kind: Maps = Maps.PERMUTATION
) -> Puzzle:
    """Draw a puzzle of `size` rooms (any number where None) with a walk through `hops` doors."""
    count = size or rng.randint(SMALLEST, LARGEST)
    rooms = ROOMS[:count]
    doors = draw_map(rng, kind, rooms)
    told = rng.sample(list(doors.items()), count)
    start = rng.choice(rooms)
    opening = f"There are {COUNTS[count]} rooms, {rooms[0]} to {rooms[-1]}, with one door out of each."
    way = f"{COUNTS[hops]} door{'s' if hops > 1 else ''}"
    task = f"You start in {start} and walk through {way}. In which room are you?"
    steps = walk(doors, start, hops)
    text = joined([opening, *(_fact(*pair) + "." for pair in told), task], rng)
    return Puzzle(Family.ROOMS, text, steps, steps[-1], rooms, tuple(told), start=start)


def _fact(room: str, target: str) -> str:
    return f"The door in {room} leads to {target}"
