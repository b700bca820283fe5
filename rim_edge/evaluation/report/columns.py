"""The columns of the card's table, as text; on a terminal and on a page they are the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rim_edge.evaluation.report.table import Line, Part


@dataclass(frozen=True)
class Column:
    """One column."""

    head: str
    """Its name."""
    cell: Callable[[Line], str]
    """A line's value; empty where it has none."""
    is_text: bool = False
    """Whether it is text, and no number."""


def columns(part: Part) -> list[Column]:
    """Return the columns of a part: those in which a line has a value."""
    found = [
        Column("model", lambda line: line.model, is_text=True),
        Column("way", lambda line: line.way, is_text=True),
        Column("blocks", lambda line: "" if line.blocks is None else str(line.blocks)),
        Column("n", lambda line: f"{line.score.n:,}"),
        Column("right %", lambda line: f"{100 * line.score.accuracy:.1f}"),
        Column("95 %", lambda line: " to ".join(f"{100 * end:.1f}" for end in line.score.interval)),
        *(_passed(k) for k in part.pass_at),
        Column("tokens", lambda line: f"{line.measured.tokens:,.1f}"),
        Column("cut", lambda line: f"{line.measured.cut:,}" if line.measured.cut else ""),
        Column("first token, ms", lambda line: _ms(line.measured.first_ms)),
        Column("all, ms", lambda line: _ms(line.measured.full_ms)),
    ]
    return [column for column in found if any(column.cell(line) for line in part.lines)]


def _passed(k: int) -> Column:
    def cell(line: Line) -> str:
        share = line.measured.pass_at.get(k)
        return "" if share is None else f"{100 * share:.1f}"

    return Column(f"pass@{k} %", cell)


def _ms(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.1f}" if value < 10 else f"{value:,.0f}"
