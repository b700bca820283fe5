"""`rim-edge train`: run a curriculum and write a checkpoint that `rim-edge export` takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rim_edge.cli.output import note, print_json

if TYPE_CHECKING:
    from rich.console import Console

    from rim_edge.train.gathering import FileReport
    from rim_edge.train.job import Job, Outcome
    from rim_edge.train.loop import Step
    from rim_edge.train.recipe import Recipe


def train(
    out: Annotated[Path, typer.Option("--out", "-o", help="The checkpoint folder to write; must not exist.")],
    preset: Annotated[
        str | None, typer.Option(help="The recipe: demo, openmed, gsm8k-aug or gsm8k. [default: demo]")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="A recipe of your own (docs/training.md).")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="A transformers folder to start from. [default: from scratch]")
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE[=WEIGHT]", help="Rows (.jsonl, .txt, or .gz); repeatable. [default: generated puzzles]"
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of all stages together. [default: the recipe's]")
    ] = None,
    arm: Annotated[
        str, typer.Option(help="rim, no-blocks, no-curriculum, curriculum-without-blocks or cot.")
    ] = "rim",
    lora_rank: Annotated[
        int | None, typer.Option(min=0, metavar="R", help="Train adapters of this rank; 0 trains whole layers.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order, puzzles and dropout.")] = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads. [default: all cores]")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out bad rows, and count them.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted run, where there is one.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Train a RiM model: a curriculum of stages, then a checkpoint that `rim-edge export` takes."""
    from rim_edge.extras import require_extra

    require_extra("train", "Training")
    from rich.console import Console

    from rim_edge.train.arms import find_arm
    from rim_edge.train.data_files import BadRows, parse_data_option
    from rim_edge.train.job import Job, run_job

    job = Job(
        recipe=_recipe(preset, config, lora_rank),
        out=out,
        model=model,
        data=tuple(parse_data_option(file) for file in data or ()),
        steps=steps,
        arm=find_arm(arm),
        seed=seed,
        threads=threads,
        bad_rows=BadRows.SKIP if skip_bad else BadRows.REFUSE,
        resume=resume,
    )
    console = Console(stderr=True)
    with _progress(console, job.curriculum.steps) as report:
        outcome = run_job(job, report, _tell)
    if outcome is None:  # the first of the run's processes speaks for all
        return
    if as_json:
        print_json(_result(job, outcome))
    else:
        _summarize(console, outcome)


def _recipe(preset: str | None, config: Path | None, lora_rank: int | None) -> Recipe:
    """Return the recipe that is meant. Raises CurriculumError."""
    from rim_edge.train.presets import preset as find_preset
    from rim_edge.train.recipe_file import read_recipe

    if preset is not None and config is not None:
        raise typer.BadParameter('--preset and --config exclude each other; a file may say preset = "…" itself')
    recipe = find_preset(preset or "demo") if config is None else read_recipe(config)
    return recipe if lora_rank is None else recipe.with_rank(lora_rank)


def _tell(files: tuple[FileReport, ...]) -> None:
    """Say which rows are left out."""
    for file in files:
        if file.skipped:
            note(f"{file.name}: {file.skipped} bad rows skipped, the first: {file.first_bad}")
        for reason, count in file.dropped.items():
            note(f"{file.name}: {count} of {file.used + sum(file.dropped.values())} rows left out, {reason}")


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
        "recipe": job.recipe.name,
        "arm": job.arm,
        "seed": job.seed,
        "stages": [asdict(stage) for stage in outcome.stages],
        "data": [asdict(file) for file in outcome.data],
        "resumed_at": outcome.resumed_at,
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
