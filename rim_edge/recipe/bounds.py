"""Checks of settings: each names the setting, says what was found, and what was expected."""

from __future__ import annotations

import math

from rim_edge.errors import CurriculumError

MOST = 2**31 - 1
"""The largest whole number of a setting; beyond it nothing could ever be counted."""
_SHOWN = 60


class SettingError(CurriculumError):
    """A setting's value cannot be used."""

    def __init__(self, place: str, key: str, found: str, expected: str) -> None:
        """`place` is what the setting belongs to, in dots and brackets: `curriculum.stages[0]`; may be empty."""
        super().__init__(f"{f'{place}.{key}' if place else key} is {found}, expected {expected}.")
        self.key, self.found, self.expected = key, found, expected

    def at(self, place: str) -> SettingError:
        """Return the same error about the setting at another place."""
        return SettingError(place, self.key, self.found, self.expected)


def whole(place: str, key: str, value: object, least: int, most: int = MOST) -> None:
    """Raise SettingError unless the value is a whole number from `least` to `most`."""
    if type(value) is not int or value < least:
        raise SettingError(place, key, shown(value), f"a whole number of at least {least}")
    if value > most:
        raise SettingError(place, key, shown(value), f"a whole number of at most {most:,}")


def share(place: str, key: str, value: float) -> None:
    """Raise SettingError unless the value is at least 0 and below 1."""
    if not _is_number(value) or not 0 <= value < 1:
        raise SettingError(place, key, shown(value), "a number from 0 to below 1")


def positive(place: str, key: str, value: float) -> None:
    """Raise SettingError unless the value is a number above 0."""
    if not _is_number(value) or value <= 0:
        raise SettingError(place, key, shown(value), "a number above 0")


def not_negative(place: str, key: str, value: float) -> None:
    """Raise SettingError unless the value is a number of at least 0."""
    if not _is_number(value) or value < 0:
        raise SettingError(place, key, shown(value), "a number of at least 0")


def text(place: str, key: str, value: object) -> None:
    """Raise SettingError unless the value is text of one line that a terminal may print."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise SettingError(place, key, shown(value), "some text without control characters")


def shown(value: object) -> str:
    """Return a value for a message, shortened; Python refuses to write numbers of thousands of digits."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return "a number of thousands of digits" if isinstance(value, int) else f"a huge {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _is_number(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond what a float can hold
        return False
