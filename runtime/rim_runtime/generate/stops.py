"""Texts at which a text ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rim_runtime.errors import InputError


def as_stops(given: str | Iterable[str]) -> tuple[str, ...]:
    """Return stop texts as a tuple, of one text or several. Raises InputError for what can never be written."""
    if isinstance(given, bytes | Mapping) or not isinstance(given, Iterable):
        raise InputError(f"stop is {given!r}, expected a text or a list of texts. Leave it out for none.")
    found: Sequence[object] = (given,) if isinstance(given, str) else tuple(given)
    for stop in found:
        if not isinstance(stop, str) or not stop or any("\ud800" <= sign <= "\udfff" for sign in stop):
            raise InputError(
                f"A stop text is {stop!r}, expected one or more characters that a model can write. Leave it out."
            )
    return tuple(map(str, found))


class StopTexts:
    """Looks for stop texts in a text that comes in pieces; what may be the beginning of one is held back."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""
        self.found = False
        """Whether a stop text has come: then the text has ended before it."""

    def pass_on(self, piece: str) -> str:
        """Return what may be shown now."""
        text = self._held + piece
        places = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            self.found, self._held = True, ""
            return text[: min(places)]
        shown = len(text) - self._open(text)
        self._held = text[shown:]
        return text[:shown]

    def rest(self) -> str:
        """Return what is held back, at the end of the text."""
        held, self._held = self._held, ""
        return held

    def _open(self, text: str) -> int:
        """Return how many characters at the end may begin a stop text."""
        longest = max(map(len, self._stops), default=1)
        sizes = range(min(longest - 1, len(text)), 0, -1)
        return next((size for size in sizes if any(stop.startswith(text[-size:]) for stop in self._stops)), 0)
