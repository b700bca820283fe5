"""How numbers are written, everywhere: `98 %`, `1,024`, `4.4 ms`, `15.9 MB`, `0:01:30`."""

from __future__ import annotations

from collections.abc import Iterable

_LEAST_SHOWN = 0.005


def count(number: int, noun: str | None = None) -> str:
    """Return a whole number, and with a noun the two together: `1 question`, `1,024 questions`."""
    if noun is None:
        return f"{number:,}"
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def percent(share: float) -> str:
    """Return a share in whole percent, without claiming a certainty that it does not have."""
    if share >= 1 - _LEAST_SHOWN:
        return "> 99 %"
    return "< 1 %" if share < _LEAST_SHOWN else f"{100 * share:.0f} %"


def points(lead: float) -> str:
    """Return a difference of shares in whole points of 100, with the word."""
    if lead >= 1 - _LEAST_SHOWN:
        return "> 99 points"
    if lead < _LEAST_SHOWN:
        return "< 1 point"
    return count(round(100 * lead), "point")


def tenths(share: float) -> str:
    """Return a counted share, such as an accuracy, in percent with a decimal."""
    return f"{100 * share:.1f} %"


def interval(ends: Iterable[float]) -> str:
    """Return the interval of a counted share."""
    low, high = ends
    return f"{100 * low:.1f} to {100 * high:.1f} %"


def milliseconds(value: float) -> str:
    """Return a time in ms, with a decimal where it matters."""
    return f"{value:,.1f} ms" if value < 10 else f"{value:,.0f} ms"


def seconds(value: float) -> str:
    """Return how long something took, in s, with a decimal where it matters."""
    return f"{value:,.1f} s" if value < 10 else f"{value:,.0f} s"


def clock(value: float) -> str:
    """Return a time of seconds as h:mm:ss."""
    minutes, rest = divmod(round(value), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def megabytes(size: int) -> str:
    """Return a size of bytes in MB, or in GB from 1,000 MB on."""
    return f"{size / 1e6:,.1f} MB" if size < 1e9 else f"{size / 1e9:,.2f} GB"
