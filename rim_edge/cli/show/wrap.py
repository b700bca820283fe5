"""Lines for people break between words; pipes get every line whole."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

_NARROWEST = 12
_WORD = re.compile(r"(?:(?:\d+: )?\d[\d.,]* (?:%|ms|s|MB|GB)\S*|\S+)\s*")
"""A word and the white space after it; a number, with what it is of and its unit, is one word."""


def print_wrapped(out: Console, text: Text | str, indent: int = 2) -> None:
    """Print a text, on a terminal in as many indented lines as its words need."""
    for line in wrapped(out, text, indent):
        out.print(Text.assemble(" " * indent, line))


def wrapped(out: Console, text: Text | str, indent: int) -> list[Text]:
    """Return the lines of a text beside or after `indent` cells: one in a pipe.

    A word that is longer than a line, such as a path, stays whole, so that it can be copied.
    """
    whole = text if isinstance(text, Text) else Text(text)
    if not out.is_terminal:
        return [whole]
    lines = whole.divide(_breaks(whole.plain, max(_NARROWEST, out.width - indent)))
    for line in lines:
        line.rstrip()
    return list(lines)


def _breaks(text: str, width: int) -> Iterator[int]:
    """Give the places before which a line of at most `width` cells ends."""
    used = 0
    for word in _WORD.finditer(text):
        if used and used + cell_len(word[0].rstrip()) > width:
            yield word.start()
            used = 0
        used += cell_len(word[0])
