"""`rim-edge train`: run a curriculum and write a checkpoint that `rim-edge export` takes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rim_edge.cli.output import note, print_json

if TYPE_CHECKING:
    from rim_edge.recipe.recipe import Recipe
    from rim_edge.training.job import Job


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
    eval_file: Annotated[
        str | None,
        typer.Option(
            "--eval",
            metavar="FILE[=ROWS]",
            help="Rows to score after each stage, the first ROWS (1,000) of them. [default: generated puzzles]",
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
    tensorboard: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write TensorBoard's events too, into DIR/OUT's name.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted run, where there is one.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Train a RiM model: a curriculum of stages, then a checkpoint that `rim-edge export` takes."""
    from rim_edge.extras import require_extra

    require_extra("train", "Training")
    if tensorboard is not None:
        require_extra("tensorboard", "--tensorboard")
    from rim_edge.recipe.arms import find_arm
    from rim_edge.recipe.inputs import BadRows, parse_data_option, parse_eval_option
    from rim_edge.training.job import Job, is_finished

    recipe = _recipe(preset, config, lora_rank)
    if config is None and model is None and recipe.scratch is not None:
        _refuse_own_rows(recipe.name, data, eval_file)
    job = Job(
        recipe=recipe,
        out=out,
        model=model,
        data=tuple(parse_data_option(file) for file in data or ()),
        steps=steps,
        arm=find_arm(arm),
        seed=seed,
        threads=threads,
        bad_rows=BadRows.SKIP if skip_bad else BadRows.REFUSE,
        eval=None if eval_file is None else parse_eval_option(eval_file),
        tensorboard=tensorboard,
        resume=resume,
    )
    if resume and is_finished(job):
        note(f"{out} is there already: this run is finished, and nothing is left to do")
        if as_json:
            print_json({"checkpoint": str(out), "is_finished": True})
        return
    _run(job, as_json=as_json)


def _run(job: Job, *, as_json: bool) -> None:
    """Train, and print the result."""
    from rich.console import Console

    from rim_edge.cli.show.training import training_view
    from rim_edge.cli.show.training_summary import result, summarize
    from rim_edge.errors import StoppedError
    from rim_edge.training.job import run_job
    from rim_edge.training.stopping import StopSignals

    console, signals = Console(stderr=True), StopSignals(_stopping)
    try:
        with training_view(console, job.curriculum) as view:
            outcome = run_job(job, view, signals)
    except StoppedError as stopped:
        note(str(stopped))
        raise SystemExit(128 + (signals.number or 0)) from None
    if outcome is None:  # only the first process of a run reports
        return
    if as_json:
        print_json(result(job, outcome))
    else:
        summarize(console, outcome)


def _stopping() -> None:
    """Say that a signal was heard; in its handler, which may interrupt other writing, thus without a buffer."""
    os.write(2, b"note: stopping after this step, once its state is saved; a second signal stops at once\n")


def _refuse_own_rows(preset: str, data: list[str] | None, eval_file: str | None) -> None:
    """Raise CurriculumError if rows are given for a toy that only knows its puzzles."""
    from rim_edge.errors import CurriculumError

    given = " and ".join(name for name, value in (("--data", data), ("--eval", eval_file)) if value)
    if given:
        raise CurriculumError(
            f"Got {given} without --model: the preset '{preset}' trains a toy from scratch, on generated puzzles "
            "and with a tokenizer made for them. Pass --model DIR and --preset gsm8k, gsm8k-aug or openmed, or "
            f"leave {given} out."
        )


def _recipe(preset: str | None, config: Path | None, lora_rank: int | None) -> Recipe:
    """Return the recipe that the options name. Raises CurriculumError."""
    from rim_edge.recipe.presets import preset as find_preset
    from rim_edge.recipe.toml import read_recipe

    if preset is not None and config is not None:
        raise typer.BadParameter('--preset and --config exclude each other; a file may say preset = "…" itself')
    recipe = find_preset(preset or "demo") if config is None else read_recipe(config)
    return recipe if lora_rank is None else recipe.with_rank(lora_rank)
