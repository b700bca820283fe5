"""Marks in front of lines: signs where the terminal has them, words where it has ASCII alone."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


class Mark(Enum):
    """What a mark says: its sign, its word and its style."""

    GOOD = ("✓", "ok:", "green")
    """It was tried, and works."""
    UNTRIED = ("○", "untried:", "dim")
    """It seems to be there."""
    OFF = ("–", "no:", "dim")
    """It is not here, and need not be."""
    BAD = ("✗", "bad:", "red")
    """It should work, and does not."""
    DEFAULT = ("●", "*", "green")
    """The one that is used."""

    def on(self, out: Console) -> tuple[str, str]:
        """Return the mark for this console, with the space after it, and its style."""
        sign, word, style = self.value
        return f"{sign if out.encoding.lower().startswith('utf') else word} ", style

    def before(self, out: Console, text: str) -> Text:
        """Return a text with the mark in front of it."""
        from rich.text import Text

        return Text.assemble(self.on(out), (text, "dim" if self is Mark.OFF else ""))
