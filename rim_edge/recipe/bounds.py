"""Checks of settings: each names the field, says what was found, and what was expected."""

from __future__ import annotations

import math

from rim_edge.errors import CurriculumError


def whole(place: str, field: str, value: object, least: int) -> None:
    """Raise CurriculumError unless the value is a whole number of at least `least`."""
    if type(value) is not int or value < least:
        raise CurriculumError(f"{place}: {field} is {value!r}, expected a whole number of at least {least}.")


def share(place: str, field: str, value: float) -> None:
    """Raise CurriculumError unless the value is at least 0 and below 1."""
    if not _is_number(value) or not 0 <= value < 1:
        raise CurriculumError(f"{place}: {field} is {value!r}, expected a number from 0 to below 1.")


def positive(place: str, field: str, value: float) -> None:
    """Raise CurriculumError unless the value is a number above 0."""
    if not _is_number(value) or value <= 0:
        raise CurriculumError(f"{place}: {field} is {value!r}, expected a number above 0.")


def not_negative(place: str, field: str, value: float) -> None:
    """Raise CurriculumError unless the value is a number of at least 0."""
    if not _is_number(value) or value < 0:
        raise CurriculumError(f"{place}: {field} is {value!r}, expected a number of at least 0.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
