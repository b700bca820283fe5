"""What `rim-edge train --dry-run` says."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from rim_edge.cli.output import note
from rim_edge.cli.show.numbers import clock, megabytes, seconds
from rim_edge.training.dry_run import DryRun, MeasuredStage


def measured(found: DryRun) -> dict[str, object]:
    """Return what `--json` prints."""
    return {
        "device": found.device,
        "stages": [_stage(stage) for stage in found.stages],
        "seconds": found.seconds,
        "peak_bytes": found.peak_bytes,
        "notes": list(found.start.notes),
    }


def _stage(found: MeasuredStage) -> dict[str, object]:
    return {
        "name": found.stage.name,
        "steps": found.stage.steps,
        "step_seconds": found.step_seconds,
        "tokens_per_second": found.tokens_per_second,
        "micro_batch": found.micro_batch,
        "seconds": found.seconds,
    }


def show(console: Console, found: DryRun) -> None:
    """Print the stages' lengths and times."""
    table = Table.grid(padding=(0, 3))
    for _ in range(5):
        table.add_column(justify="right")
    table.columns[0].justify = "left"
    table.add_row("", "steps", "a step", "tokens/s", "all of it")
    for stage in found.stages:
        pace = f"{stage.tokens_per_second:,.0f}"
        table.add_row(
            stage.stage.name, f"{stage.stage.steps:,}", seconds(stage.step_seconds), pace, clock(stage.seconds)
        )
    console.print(table)
    passes = " or ".join(sorted({f"{stage.micro_batch:,}" for stage in found.stages}))
    note(f"{clock(found.seconds)} in all on {found.device}, without scoring; passes of {passes} examples")
    if found.peak_bytes is not None:
        note(f"memory, measured: {megabytes(found.peak_bytes)}; nothing was written")
