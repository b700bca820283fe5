"""What `rim-edge train` says when it is done: in words and a table for people, as one object for `--json`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from rim_edge.cli.output import note
from rim_edge.cli.show.numbers import count, interval, seconds, tenths

if TYPE_CHECKING:
    from rim_edge.evaluation.scores import RunScores, StageScores
    from rim_edge.training.job import Job, Outcome


def result(job: Job, outcome: Outcome) -> dict[str, object]:
    """Return what `--json` prints."""
    accuracy, scores = outcome.accuracy_by_blocks, outcome.scores
    return {
        "checkpoint": str(outcome.checkpoint),
        "recipe": job.recipe.name,
        "arm": job.arm,
        "seed": job.seed,
        "stages": [asdict(stage) for stage in outcome.stages],
        "data": [asdict(file) for file in outcome.data],
        "resumed_at": outcome.resumed_at,
        "scores": None if scores is None else scores.to_json(),
        "accuracy_by_blocks": None if accuracy is None else list(accuracy),
        "notes": list(outcome.notes),
        "best": outcome.best and {"done": outcome.best.done, "right": outcome.best.right},
        "picture": None if outcome.picture is None else str(outcome.picture),
        "seconds": sum(stage.seconds for stage in outcome.stages),
    }


def summarize(console: Console, outcome: Outcome) -> None:
    """Print how the stages ended, the scores, and where the files are."""
    if not console.is_terminal:  # on a terminal the last view already shows it
        for stage in outcome.stages:
            _say(console, f"{stage.name}: {stage.steps:,} steps, loss {stage.loss:.3f}, {seconds(stage.seconds)}")
    if (scores := outcome.scores) is not None:
        for part in (scores.letters, scores.open) if scores.letters and scores.open else (scores,):
            name = scores.name if part is scores else f"{part.name} of {scores.name}"
            _say(console, f"{part.majority.n:,} questions, {name}: right, with 95 % Wilson intervals")
            console.print(_table(part))
    if (best := outcome.best) is not None:
        _say(console, f"kept: the weights after step {best.done:,}, {best.right:,} right")
    for text in outcome.notes:
        note(text)
    _say(console, f"no picture: {outcome.no_picture}" if outcome.no_picture else f"picture: {outcome.picture}")
    _say(console, f"checkpoint: {outcome.checkpoint}")


def _table(scores: RunScores) -> Table:
    """Return a row for each number of blocks, a column for each stage."""
    table = Table.grid(padding=(0, 3))
    table.add_column()
    table.add_row("", *(f"after {stage.stage}" for stage in scores.stages))
    for blocks in range(max(len(stage.by_blocks) for stage in scores.stages)):
        cells = [_cell(stage, blocks) for stage in scores.stages]
        table.add_row(f"  {count(blocks, 'block')}", *cells)
    table.add_row("  most frequent answer", f"{tenths(scores.majority.accuracy):>7}")
    return table


def _cell(stage: StageScores, blocks: int) -> str:
    if blocks >= len(stage.by_blocks):
        return ""
    score = stage.by_blocks[blocks]
    return f"{tenths(score.accuracy):>7}   {interval(score.interval)}"


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
