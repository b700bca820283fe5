"""`rim-edge train`: run a curriculum and write a checkpoint that `rim-edge export` takes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rim_edge.cli.options import JsonOption, SeedOption, SkipBadOption
from rim_edge.cli.output import note, print_json
from rim_edge.cli.training.options import (
    ArmOption,
    BatchSizeOption,
    ConfigOption,
    DataOption,
    DeviceOption,
    DropLeakedOption,
    DryRunOption,
    EpochsOption,
    EvalOption,
    LatentStepsOption,
    LearningRateOption,
    LoraRankOption,
    MicroBatchOption,
    ModelOption,
    OutputOption,
    PresetOption,
    PrintRecipeOption,
    ResumeOption,
    RolloutsOption,
    StepsOption,
    TensorboardOption,
    ThreadsOption,
    micro_batch_of,
)
from rim_edge.recipe.arms import Arm
from rim_edge.recipe.changes import Changes
from rim_edge.recipe.presets import Preset

if TYPE_CHECKING:
    from rim_edge.recipe.recipe import Recipe
    from rim_edge.training.job import Job


def train(
    output: OutputOption = None,
    preset: PresetOption = None,
    config: ConfigOption = None,
    print_recipe: PrintRecipeOption = False,
    model: ModelOption = None,
    data: DataOption = None,
    eval_file: EvalOption = None,
    skip_bad: SkipBadOption = False,
    drop_leaked: DropLeakedOption = False,
    rollouts: RolloutsOption = None,
    steps: StepsOption = None,
    epochs: EpochsOption = None,
    learning_rate: LearningRateOption = None,
    batch_size: BatchSizeOption = None,
    latent_steps: LatentStepsOption = None,
    arm: ArmOption = Arm.RIM,
    lora_rank: LoraRankOption = None,
    seed: SeedOption = 0,
    micro_batch: MicroBatchOption = None,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
    tensorboard: TensorboardOption = None,
    dry_run: DryRunOption = False,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a RiM or QThink model: a curriculum of stages, then a checkpoint that `rim-edge export` takes."""
    try:
        passes = None if micro_batch is None else micro_batch_of(micro_batch)
        recipe = _recipe(preset, config, Changes(learning_rate, batch_size, passes, lora_rank))
        if config is None and model is None and recipe.scratch is not None:
            _refuse_own_rows(recipe.name, data, eval_file)
        if steps is not None and epochs is not None:
            raise typer.BadParameter("--steps and --epochs exclude each other")
        from rim_edge.extras import require_extra

        require_extra("train", "Training")
        if print_recipe:
            run: dict[str, object] = {"--steps": steps, "--epochs": epochs, "--latent-steps": latent_steps}
            run |= {"--data": data, "--eval": eval_file, "--rollouts": rollouts}
            _refuse_beside_recipe(run | {"--arm": None if arm is Arm.RIM else arm})
            _print_recipe(recipe, as_json=as_json)
            return
        if output is None and not dry_run:
            presets = ", ".join(Preset)
            raise typer.BadParameter(
                f"expected a folder for the checkpoint: --output DIR. Recipes are files (--config) or presets "
                f"({presets}); --print-recipe shows one"
            )
        if tensorboard is not None:
            require_extra("tensorboard", "--tensorboard")
        from rim_edge.model.cpu import keep_freed_memory
        from rim_edge.recipe.inputs import BadRows, LeakedRows, parse_data_option, parse_eval_option
        from rim_edge.training.job import Job

        job = Job(
            recipe=recipe,
            out=output or Path("not-written"),
            model=model,
            data=tuple(parse_data_option(file) for file in data or ()),
            steps=steps,
            epochs=epochs,
            rollouts=rollouts,
            latent_steps=latent_steps,
            arm=arm,
            seed=seed,
            threads=threads,
            device=device,
            bad_rows=BadRows.SKIP if skip_bad else BadRows.REFUSE,
            leaked_rows=LeakedRows.DROP if drop_leaked else LeakedRows.KEEP,
            eval=None if eval_file is None else parse_eval_option(eval_file),
            tensorboard=tensorboard,
            resume=resume,
        )
        keep_freed_memory()
        (_dry_run if dry_run else _run)(job, as_json=as_json)
    except KeyboardInterrupt:  # while training the first one is heard between two steps
        note(f"interrupted: what was not saved is lost; if there is {output}.progress, go on with --resume")
        raise


def _refuse_beside_recipe(options: Mapping[str, object]) -> None:
    """Refuse options that would not be in what is printed."""
    names = [name for name, value in options.items() if value is not None]
    if names:
        raise typer.BadParameter(
            f"--print-recipe and {', '.join(names)} exclude each other: a recipe is printed as it is, and these "
            "belong to a run of it. --dry-run shows what all options come to"
        )


def _print_recipe(recipe: Recipe, *, as_json: bool) -> None:
    """Print a recipe as TOML; in JSON, that text."""
    from rim_edge.recipe.toml_text import recipe_text

    text = recipe_text(recipe)
    if as_json:
        print_json({"recipe": recipe.name, "toml": text})
    else:
        print(text, end="")


def _dry_run(job: Job, *, as_json: bool) -> None:
    """Say what a run would take."""
    from rich.console import Console

    from rim_edge.cli.show.training import training_view
    from rim_edge.cli.training.dry_run import measured, show
    from rim_edge.training.dry_run import dry_run

    console = Console(stderr=True)
    with training_view(console) as view:
        found = dry_run(job, view)
    if as_json:
        print_json(measured(found))
    else:
        show(console, found)


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


def _recipe(preset: Preset | None, config: Path | None, changes: Changes) -> Recipe:
    """Return the recipe that the options name. Raises CurriculumError."""
    from rim_edge.recipe.presets import preset as find_preset
    from rim_edge.recipe.toml import read_recipe

    if preset is not None and config is not None:
        raise typer.BadParameter('--preset and --config exclude each other; a file may say preset = "…" itself')
    return changes.of(find_preset(preset or Preset.DEMO) if config is None else read_recipe(config))
