"""`rim-edge train`: run a curriculum and write a checkpoint that `rim-edge export` takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rim_edge.cli.output import print_json

if TYPE_CHECKING:
    from rich.console import Console

    from rim_edge.train.job import Job, Outcome
    from rim_edge.train.loop import Step


def train(
    out: Annotated[Path, typer.Option("--out", "-o", help="The checkpoint folder to write; must not exist.")],
    preset: Annotated[str, typer.Option(help="The recipe: demo or openmed.")] = "demo",
    model: Annotated[
        Path | None, typer.Option(help="A transformers folder to start from. [default: from scratch]")
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Rows as .jsonl or .jsonl.gz; repeatable. [default: generated puzzles]"),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of all stages together. [default: the preset's]")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order and puzzles.")] = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads. [default: all cores]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Train a RiM model: a curriculum of stages, then a checkpoint that `rim-edge export` takes."""
    from rim_edge.extras import require_extra

    require_extra("train", "Training")
    from rich.console import Console

    from rim_edge.train.job import Job, curriculum_of, run_job
    from rim_edge.train.presets import preset as find_preset

    job = Job(find_preset(preset), out, model, tuple(data or ()), steps, seed, threads)
    console = Console(stderr=True)
    with _progress(console, curriculum_of(job).steps) as report:
        outcome = run_job(job, report)
    if as_json:
        print_json(_result(job, outcome))
    else:
        _summarize(console, outcome)


@contextmanager
def _progress(console: Console, steps: int) -> Iterator[Callable[[Step], None]]:
    """Give the function that shows a step: a bar on a terminal, otherwise nothing."""
    if not console.is_terminal:
        yield lambda step: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("training", total=steps)

        def show(step: Step) -> None:
            progress.update(task, advance=1, description=f"{step.stage}, loss {step.loss:.3f}")

        yield show


def _result(job: Job, outcome: Outcome) -> dict[str, object]:
    accuracy = outcome.accuracy_by_blocks
    return {
        "checkpoint": str(outcome.checkpoint),
        "preset": job.preset.name,
        "seed": job.seed,
        "stages": [asdict(stage) for stage in outcome.stages],
        "accuracy_by_blocks": None if accuracy is None else list(accuracy),
        "seconds": sum(stage.seconds for stage in outcome.stages),
    }


def _summarize(console: Console, outcome: Outcome) -> None:
    for stage in outcome.stages:
        console.print(f"{stage.name}: {stage.steps} steps, loss {stage.loss:.3f}, {stage.seconds:.0f} s")
    if outcome.accuracy_by_blocks is not None:
        shares = "  ".join(f"{blocks}: {share:.1%}" for blocks, share in enumerate(outcome.accuracy_by_blocks))
        console.print(f"right on fresh puzzles, by blocks: {shares}", highlight=False)
    console.print(f"checkpoint: {outcome.checkpoint}", highlight=False)
