"""How slow steps report their progress."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done, 0..1."""
Report = Callable[[float], None]
"""Called with the share that is done, 0..1."""


def silent(text: str, share: float) -> None:
    """Report nothing."""
