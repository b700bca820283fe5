"""What the fields of a saved row may hold: each is checked as it is read, so that no report fails half-way."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_SHOWN = 40


class FieldError(ValueError):
    """A field is missing, or holds something else."""


@dataclass(frozen=True)
class Kind:
    """What a field may hold."""

    words: str
    """It in words."""
    holds: Callable[[Any], bool]
    """Whether a value is of it."""

    def or_null(self) -> Kind:
        """Return it with null beside it."""
        return Kind(f"{self.words} or null", lambda value: value is None or self.holds(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _maps(value: Any, key: Callable[[str], bool], holds: Callable[[Any], bool]) -> bool:
    return isinstance(value, dict) and all(key(name) and holds(one) for name, one in value.items())


TEXT = Kind("a text", lambda value: isinstance(value, str))
TEXTS = Kind("a list of texts", lambda value: isinstance(value, list) and all(map(TEXT.holds, value)))
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
COUNT = Kind("a whole number of at least 0", lambda value: type(value) is int and value >= 0)
NUMBER = Kind("a number of at least 0", lambda value: _is_number(value) and 0 <= value < math.inf)
SHARES = Kind(
    "numbers from 0 to 1 by letters",
    lambda value: bool(value) and _maps(value, TEXT.holds, lambda one: _is_number(one) and 0 <= one <= 1.001),
)
OBJECT = Kind("an object", lambda value: isinstance(value, dict))
OBJECTS = Kind("a list of objects", lambda value: isinstance(value, list) and all(map(OBJECT.holds, value)))
BY_BLOCKS = Kind(
    "an object for each number of blocks",
    lambda value: bool(value) and _maps(value, str.isdecimal, OBJECT.holds),
)
LETTERS_BY_BLOCK = Kind("a letter for each block", lambda value: _maps(value, str.isdecimal, TEXT.holds))


def read(body: Mapping[str, Any], key: str, kind: Kind) -> Any:
    """Return a field that must be there. Raises FieldError."""
    if key not in body:
        raise FieldError(f"{key!r} is missing")
    value = body[key]
    if not kind.holds(value):
        shown = json.dumps(value)
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
        raise FieldError(f"{key!r} is {shown}, expected {kind.words}")
    return value


def read_or(body: Mapping[str, Any], key: str, kind: Kind, otherwise: Any) -> Any:
    """Return a field that earlier releases did not write. Raises FieldError."""
    return read(body, key, kind) if key in body else otherwise


def only(body: Mapping[str, Any], *known: str) -> None:
    """Raise FieldError where there are other fields."""
    if other := [key for key in body if key not in known]:
        raise FieldError(f"{other[0]!r} is unknown")
