"""Pieces of HTML that the sections share. All text of users goes through `safe`."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


def safe(text: object) -> str:
    """Return a text as HTML shows it: without markup, and without control characters."""
    from rim_runtime.bundle.control_characters import without_control_characters

    return escape(without_control_characters(str(text)))


def section(name: str, title: str, *parts: str) -> str:
    """Return a section that the page's list of contents can point to."""
    return f'<section id="{name}"><h2>{safe(title)}</h2>\n{"".join(parts)}</section>\n'


def table(caption: str, heads: Iterable[str], rows: Iterable[str], kind: str = "") -> str:
    """Return a table that is scrolled, by keyboard too, where the page is narrower; heads and rows are HTML."""
    cells = "".join(f'<th scope="col">{head}</th>' for head in heads)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{safe(caption)}">'
        f'<table class="{kind}"><thead><tr>{cells}</tr></thead>\n<tbody>{"".join(rows)}</tbody></table></div>\n'
    )


def row(head: str, *cells: str, kind: str = "") -> str:
    """Return a row of HTML cells, the first of which names it."""
    body = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr class="{kind}"><th scope="row">{head}</th>{body}</tr>\n'


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph of plain text."""
    return f'<p class="{kind}">{safe(text)}</p>\n'
