"""A calibration for people: the temperature, what it changes, the bins, sets, and what abstaining leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from rim_edge.cli.output import console
from rim_edge.cli.show.numbers import tenths
from rim_edge.cli.show.wrap import print_wrapped

if TYPE_CHECKING:
    from rim_runtime.calibration import Calibration

    from rim_edge.evaluation.calibrating import Calibrated, Reliability

_NEARLY_THE_MOST = 19.9
VOID = "It holds for questions like these. Other questions void it, and nothing tells."


def print_calibrated(found: Calibrated, kept: Calibration, bundle: str, precision: str) -> None:
    """Print to stdout."""
    out = console()
    out.print()
    head = f"{bundle} · {precision} · {kept.blocks} memory blocks · {kept.questions:,} questions of {kept.data}"
    print_wrapped(out, Text(head, "bold"))
    out.print()
    print_wrapped(out, f"right                      {tenths(found.accuracy):>8}")
    print_wrapped(out, f"temperature                {found.temperature:>8.3f}")
    if found.temperature > _NEARLY_THE_MOST:
        words = "what this bundle says of its letters means next to nothing here"
        print_wrapped(out, f"That is the largest that is tried: {words}.")
    for name, one in (("before", found.before), ("after, on the other half", found.after)):
        print_wrapped(out, f"calibration error {name}: {_error(one)}; -log p {one.nll:.3f}")
    out.print()
    out.print(_bins(found))
    held = f"hold the right one in {tenths(found.covered)} (wanted {tenths(kept.coverage)})"
    print_wrapped(out, f"sets: on average {found.set_size:.2f} letters {held}")
    for rest in found.abstention:
        if rest.accuracy is not None and rest.answered < 1:
            given = f"{tenths(rest.answered)} are answered, {tenths(rest.accuracy)} of those right"
            print_wrapped(out, f"--min-confidence {rest.least:g}: {given}")
    out.print()
    print_wrapped(out, Text(VOID, "dim"))
    out.print()


def _error(one: Reliability) -> str:
    low, high = one.interval
    return f"{100 * one.error:.1f} points (95 % {100 * low:.1f} to {100 * high:.1f})"


def _bins(found: Calibrated) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 2), show_header=True, header_style="dim")
    for name in ("questions", "said before", "right", "said after", "right"):
        table.add_column(name, justify="right")
    for before, after in zip(found.before.bins, found.after.bins, strict=True):
        said = (before.confidence, before.accuracy, after.confidence, after.accuracy)
        table.add_row(f"{before.count:,}", *map(tenths, said))
    return table
