"""Bundles that were opened before, the last one first, kept in the app's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import QSettings

_KEY, _MOST = "recent", 8


class RecentBundles:
    """A short list of places."""

    def __init__(self, settings: QSettings) -> None:
        self._settings = settings

    def places(self) -> list[Path]:
        """Return them; a bundle that is gone meanwhile says so when it is opened."""
        kept: Any = self._settings.value(_KEY, [], type=list)
        return [Path(place) for place in kept]

    def add(self, place: Path) -> None:
        """Put a place first."""
        others = [one for one in self.places() if one != place]
        self._settings.setValue(_KEY, [str(one) for one in (place, *others)][:_MOST])

    def clear(self) -> None:
        """Forget them all."""
        self._settings.remove(_KEY)
