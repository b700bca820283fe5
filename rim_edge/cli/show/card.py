"""The card's table for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rim_edge.cli.output import console
from rim_edge.cli.show.wrap import print_wrapped

if TYPE_CHECKING:
    from rich.console import Console

    from rim_edge.evaluation.report.table import Part, Table


def print_card(table: Table) -> None:
    """Print the table, part by part."""
    from rich.text import Text

    out = console()
    out.print()
    print_wrapped(out, Text(table.title, "bold"))
    if not table.is_whole:
        print_wrapped(out, Text("partial: it was stopped before all was asked", "yellow"))
    for part in table.parts:
        out.print()
        print_wrapped(out, Text(part.data, "bold"))
        _print_lines(out, part)
        for one in part.not_asked:
            print_wrapped(out, f"{one.model}, {one.way}: {one.reason}")
    out.print()
    print_wrapped(out, "95 %: Wilson's interval. A letter that is read counts as one token.")


def _print_lines(out: Console, part: Part) -> None:
    from rich.cells import cell_len

    from rim_edge.evaluation.report.columns import columns

    if not part.lines:
        return
    shown = columns(part)
    rows = [[column.head for column in shown], *([column.cell(line) for column in shown] for line in part.lines)]
    widths = [max(map(cell_len, cells)) for cells in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            text + gap if column.is_text else gap + text
            for column, text, width in zip(shown, row, widths, strict=True)
            for gap in [" " * (width - cell_len(text))]
        ]
        out.print(f"  {'   '.join(cells)}".rstrip())
