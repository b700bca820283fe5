"""Rooms: four to eight of them, one door out of each, some doors to walk through. The rooms are the letters."""

from __future__ import annotations

import itertools
import random

from rim_runtime.options import LETTERS

from rim_edge.demo.maps import Maps, draw_map, walk
from rim_edge.demo.puzzle import COUNTS, HOPS, LARGEST, SMALLEST, Family, Puzzle, joined

ROOMS = LETTERS[:LARGEST]
"""All rooms."""
FACT = r"The door in [A-J] leads to [A-J](?![A-Za-z0-9])"
"""A told door, as a regular expression."""


def facts() -> list[str]:
    """Return every fact that can be told."""
    return [_fact(room, target) for room, target in itertools.product(ROOMS, repeat=2)]


def draw_rooms(
    rng: random.Random, size: int | None = None, hops: int = HOPS, kind: Maps = Maps.PERMUTATION
) -> Puzzle:
    """Draw a puzzle of `size` rooms (any number of them where None), of whose doors `hops` are walked through."""
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
