"""`rim-edge train`: run a curriculum and write a checkpoint that `rim-edge export` takes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rim_edge.cli.options import JsonOption, SeedOption, SkipBadOption, listed, new_path
from rim_edge.cli.output import note, print_json
from rim_edge.recipe.arms import Arm
from rim_edge.recipe.presets import Preset

if TYPE_CHECKING:
    from rim_edge.recipe.recipe import Recipe
    from rim_edge.training.job import Job


DATA, LENGTH, RUN = "Data", "What is trained", "The run"
"""Panels of the help page."""

OutputOption = Annotated[
    Path,
    typer.Option(
        "--output", "-o", metavar="DIR", parser=new_path, help="The checkpoint's folder; must not exist."
    ),
]
PresetOption = Annotated[
    Preset | None, typer.Option("--preset", metavar="NAME", help=f"{listed(Preset)}.", show_default="demo")
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="A recipe of your own (TOML, docs/training.md).")
]
ModelOption = Annotated[
    Path | None,
    typer.Option(
        "--model",
        "-m",
        metavar="DIR",
        help="A transformers folder to start from.",
        show_default="from scratch",
    ),
]
DataOption = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        metavar="FILE[=WEIGHT]",
        help="Rows (.jsonl, .json or .txt); repeat it for each file.",
        show_default="generated puzzles",
        rich_help_panel=DATA,
    ),
]
EvalOption = Annotated[
    str | None,
    typer.Option(
        "--eval",
        metavar="FILE[=ROWS]",
        help="Rows to score after each stage, the first ROWS (1,000) of them.",
        show_default="generated puzzles",
        rich_help_panel=DATA,
    ),
]
DropLeakedOption = Annotated[
    bool,
    typer.Option(
        "--drop-leaked",
        help="Leave out training rows whose question is in the --eval file; count them.",
        rich_help_panel=DATA,
    ),
]
StepsOption = Annotated[
    int | None,
    typer.Option(
        "--steps",
        metavar="N",
        min=1,
        help="Steps of all stages together.",
        show_default="the recipe's",
        rich_help_panel=LENGTH,
    ),
]
EpochsOption = Annotated[
    float | None,
    typer.Option(
        "--epochs",
        metavar="N",
        help="Passes of all stages together through the rows, instead of --steps.",
        rich_help_panel=LENGTH,
    ),
]
RolloutsOption = Annotated[
    Path | None,
    typer.Option(
        "--rollouts",
        metavar="DIR",
        help="What latent steps learn from: the folder of `rim-edge rollouts` (QThink).",
        rich_help_panel=DATA,
    ),
]
LatentStepsOption = Annotated[
    int | None,
    typer.Option(
        "--latent-steps",
        metavar="N",
        min=0,
        help="Latent steps before the text (QThink); 0 is the control without any.",
        show_default="the recipe's",
        rich_help_panel=LENGTH,
    ),
]
ArmOption = Annotated[
    Arm,
    typer.Option("--arm", metavar="NAME", help=f"{listed(Arm)}: RiM, and its controls.", rich_help_panel=LENGTH),
]
LoraRankOption = Annotated[
    int | None,
    typer.Option(
        "--lora-rank",
        metavar="N",
        min=0,
        help="Train adapters of this rank; 0 trains whole layers.",
        show_default="the recipe's",
        rich_help_panel=LENGTH,
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        min=1,
        help="CPU threads.",
        show_default="all cores",
        rich_help_panel=RUN,
    ),
]
TensorboardOption = Annotated[
    Path | None,
    typer.Option(
        "--tensorboard",
        metavar="DIR",
        parser=new_path,
        help="Write TensorBoard's events too, into DIR and the output's name.",
        rich_help_panel=RUN,
    ),
]
ResumeOption = Annotated[
    bool,
    typer.Option("--resume", help="Go on with an interrupted run, where there is one.", rich_help_panel=RUN),
]


def train(
    output: OutputOption,
    preset: PresetOption = None,
    config: ConfigOption = None,
    model: ModelOption = None,
    data: DataOption = None,
    eval_file: EvalOption = None,
    skip_bad: SkipBadOption = False,
    drop_leaked: DropLeakedOption = False,
    steps: StepsOption = None,
    epochs: EpochsOption = None,
    rollouts: RolloutsOption = None,
    latent_steps: LatentStepsOption = None,
    arm: ArmOption = Arm.RIM,
    lora_rank: LoraRankOption = None,
    seed: SeedOption = 0,
    threads: ThreadsOption = None,
    tensorboard: TensorboardOption = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a RiM or QThink model: a curriculum of stages, then a checkpoint that `rim-edge export` takes."""
    try:
        recipe = _recipe(preset, config, lora_rank)  # as all that can be checked, before the heavy imports
        if config is None and model is None and recipe.scratch is not None:
            _refuse_own_rows(recipe.name, data, eval_file)
        if steps is not None and epochs is not None:
            raise typer.BadParameter("--steps and --epochs exclude each other")
        from rim_edge.extras import require_extra

        require_extra("train", "Training")
        if tensorboard is not None:
            require_extra("tensorboard", "--tensorboard")
        from rim_edge.recipe.inputs import BadRows, LeakedRows, parse_data_option, parse_eval_option
        from rim_edge.training.job import Job

        job = Job(
            recipe=recipe,
            out=output,
            model=model,
            data=tuple(parse_data_option(file) for file in data or ()),
            steps=steps,
            epochs=epochs,
            rollouts=rollouts,
            latent_steps=latent_steps,
            arm=arm,
            seed=seed,
            threads=threads,
            bad_rows=BadRows.SKIP if skip_bad else BadRows.REFUSE,
            leaked_rows=LeakedRows.DROP if drop_leaked else LeakedRows.KEEP,
            eval=None if eval_file is None else parse_eval_option(eval_file),
            tensorboard=tensorboard,
            resume=resume,
        )
        _run(job, as_json=as_json)
    except KeyboardInterrupt:  # while training the first one is heard between two steps
        note(f"interrupted: what was not saved is lost; if there is {output}.progress, go on with --resume")
        raise


def _run(job: Job, *, as_json: bool) -> None:
    """Train, and print the result."""
    from rich.console import Console

    from rim_edge.cli.show.training import training_view
    from rim_edge.cli.show.training_summary import result, summarize
    from rim_edge.errors import StoppedError
    from rim_edge.training.run import run_job
    from rim_edge.training.stopping import StopSignals
    from rim_edge.training.summary import is_finished

    if job.resume and is_finished(job):
        note(f"{job.out} is there already: this run is finished, and nothing is left to do")
        if as_json:
            print_json({"checkpoint": str(job.out), "is_finished": True})
        return
    console, signals = Console(stderr=True), StopSignals(_stopping)
    try:
        with training_view(console) as view:
            outcome = run_job(job, view, signals)
    except StoppedError as stopped:
        if not as_json:  # else it is the error's message
            note(str(stopped))
        raise SystemExit(128 + (signals.number or 0)) from stopped
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
            "and with a tokenizer made for them. Pass --model DIR and --preset gsm8k, gsm8k-aug, openmed or "
            f"qthink, or leave {given} out."
        )


def _recipe(preset: Preset | None, config: Path | None, lora_rank: int | None) -> Recipe:
    """Return the recipe that the options name. Raises CurriculumError."""
    from rim_edge.recipe.presets import preset as find_preset
    from rim_edge.recipe.toml import read_recipe

    if preset is not None and config is not None:
        raise typer.BadParameter('--preset and --config exclude each other; a file may say preset = "…" itself')
    recipe = find_preset(preset or Preset.DEMO) if config is None else read_recipe(config)
    return recipe if lora_rank is None else recipe.with_rank(lora_rank)
