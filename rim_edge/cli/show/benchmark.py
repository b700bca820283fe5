"""A benchmark for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from rim_edge.cli.output import console
from rim_edge.cli.show.wrap import print_wrapped

if TYPE_CHECKING:
    from rim_edge.benchmark.against import Change
    from rim_edge.benchmark.engines import EngineSpeed, NotRun


def print_benchmark(
    body: Mapping[str, Any], found: Sequence[EngineSpeed], missing: Sequence[NotRun], changes: Sequence[Change]
) -> None:
    """Print to stdout."""
    out = console()
    out.print()
    print_wrapped(out, Text(f"{body['bundle']} · {body['processor']} · {body['system']}", "bold"))
    out.print()
    out.print(_table(found))
    for one in missing:
        print_wrapped(out, Text(f"{one.engine}: {one.reason}", "dim"))
    if changes:
        out.print()
        for change in changes:
            words = f"{change.then:g} then, {change.now:g} now, {change.slower:.2f} × as slow"
            style = "red" if change.is_regression else ""
            print_wrapped(out, Text(f"{change.engine} {change.precision} {change.figure}: {words}", style))
    out.print()


def _table(found: Sequence[EngineSpeed]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 2), header_style="dim")
    table.add_column("engine")
    for name in ("precision", "first answer", "p50", "p99", "first token", "tokens/s", "GiB"):
        table.add_column(name, justify="right")
    for one in found:
        table.add_row(
            one.engine,
            one.precision,
            f"{one.first_answer_s:.2f} s",
            f"{one.p50_ms:.2f} ms",
            f"{one.p99_ms:.2f} ms",
            "" if one.first_token_ms is None else f"{one.first_token_ms:.0f} ms",
            "" if one.tokens_a_second is None else f"{one.tokens_a_second:.1f}",
            "" if one.peak_gib is None else f"{one.peak_gib:.2f}",
        )
    return table
