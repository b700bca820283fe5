"""Maps: from each of some places to one of them, and walks along."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from enum import StrEnum


class Maps(StrEnum):
    """Which maps are drawn, each uniformly."""

    PERMUTATION = "permutation"
    """Each place leads to another one, and exactly one leads to each: counting tells nothing."""
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
    """Return the places that are visited behind the start."""
    places = [start]
    for _ in range(hops):
        places.append(leads[places[-1]])
    return tuple(places[1:])
