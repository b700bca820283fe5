"""Tables in Markdown, and the page that shows them: no figure is typed by hand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

Table = str
_PLACE = r"(<!-- table: {name} -->\n)(?:.*?\n)??(<!-- end -->)"


def fill(page: Path, tables: Mapping[str, Table]) -> None:
    """Put the tables where the page names them."""
    text = page.read_text(encoding="utf-8")
    for name, table in tables.items():
        place = _PLACE.format(name=re.escape(name))
        text, count = re.subn(place, lambda found, made=table: found[1] + made + found[2], text, flags=re.S)
        if count != 1:
            raise ValueError(f"{page} has {count} places for the table '{name}', expected one.")
    page.write_text(text, encoding="utf-8")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Return a table of these columns."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def share(score: Mapping[str, float]) -> str:
    """Return an accuracy and its 95 % Wilson interval, in percent."""
    return f"{100 * score['accuracy']:.1f} ({100 * score['low']:.1f}–{100 * score['high']:.1f})"
