"""A benchmark for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from rim_edge.cli.output import console
from rim_edge.cli.show.numbers import milliseconds
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
    """Return the figures; those of texts only where some engine writes. `cold` is a new process's first answer."""
    writes = any(one.tokens_a_second is not None for one in found)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("  engine", no_wrap=True)
    texts = ("first token", "tokens/s") if writes else ()
    for name in ("precision", "cold", "first", "p50", "p99", *texts, "GiB"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found:
        cells = [one.precision, f"{one.start_s + one.first_answer_s:.2f} s"]
        cells += [milliseconds(value) for value in (one.first_ms, one.p50_ms, one.p99_ms)]
        if writes:
            cells += [_shown(one.first_token_ms, "{:.0f} ms"), _shown(one.tokens_a_second, "{:.1f}")]
        table.add_row(f"  {one.engine}", *cells, _shown(one.peak_gib, "{:.2f}"))
    return table


def _shown(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)
