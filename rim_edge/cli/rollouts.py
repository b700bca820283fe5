"""`rim-edge rollouts`: written solutions of a checkpoint, and the states of them that latent steps learn from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rim_edge.cli.options import JsonOption, LimitOption, SeedOption, SkipBadOption, new_path
from rim_edge.cli.output import print_json, progress_line
from rim_edge.cli.training.options import ConfigOption
from rim_edge.recipe.presets import Preset

if TYPE_CHECKING:
    from rim_edge.data.rows import Example
    from rim_edge.recipe.recipe import Recipe
    from rim_edge.rollouts.plan import RolloutResult

DRAWN = "Texts that are drawn"
"""Panel."""

OutputOption = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR",
        parser=new_path,
        help="The folder of the rollouts; one that this very run began goes on.",
    ),
]
ModelOption = Annotated[
    Path,
    typer.Option("--model", "-m", metavar="DIR", help="The checkpoint that writes: the base of the training."),
]
QuestionsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        metavar="FILE[=WEIGHT]",
        help="Rows to solve (.jsonl, .json or .txt); repeat it for more.",
        show_default="the recipe's; one of the two is needed",
    ),
]
SamplesOption = Annotated[
    int, typer.Option("--samples", metavar="N", min=1, help="Texts of each question.", rich_help_panel=DRAWN)
]
TemperatureOption = Annotated[
    float, typer.Option("--temperature", metavar="N", min=0.01, help="Of these texts.", rich_help_panel=DRAWN)
]
MaxTokensOption = Annotated[
    int, typer.Option("--max-tokens", metavar="N", min=1, help="The longest text.", rich_help_panel=DRAWN)
]
FromStepsOption = Annotated[
    bool,
    typer.Option(
        "--from-steps", help="Draw none: a row's own written steps are its one rollout, and a right one."
    ),
]
LatentStepsOption = Annotated[
    int | None,
    typer.Option(
        "--latent-steps",
        metavar="N",
        min=0,
        help="States of each rollout; 0 writes texts alone.",
        show_default="the recipe's",
    ),
]
DeviceOption = Annotated[
    str, typer.Option("--device", metavar="NAME", help="auto (a GPU if there is one), cpu, cuda or cuda:N.")
]


def rollouts(
    output: OutputOption,
    model: ModelOption,
    data: QuestionsOption = None,
    config: ConfigOption = None,
    limit: LimitOption = None,
    skip_bad: SkipBadOption = False,
    latent_steps: LatentStepsOption = None,
    from_steps: FromStepsOption = False,
    samples: SamplesOption = 16,
    temperature: TemperatureOption = 1.0,
    max_tokens: MaxTokensOption = 1024,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Write solutions of a checkpoint, and what QThink's latent steps learn from: states inside their thinking.

    The recipe (--config, or else the preset qthink) says what stands before each question, and how many states.
    Texts are kept as they come: a run that was stopped goes on, and asked for other --latent-steps it keeps them.
    """
    from rim_edge.extras import require_extra

    recipe = _recipe(config)
    require_extra("train", "Writing rollouts")
    from dataclasses import replace

    from rim_runtime.machine.storage import refuse_file

    from rim_edge.cli.progress import counted
    from rim_edge.evaluation.way import Draws
    from rim_edge.rollouts.plan import RolloutPlan
    from rim_edge.rollouts.write import open_writer, write_rollouts

    refuse_file(output, "the rollouts")
    examples = _examples(data, recipe, skip_bad)[:limit]
    steps = recipe.latent.steps if latent_steps is None else latent_steps
    with progress_line() as progress:
        progress("reading the checkpoint")
        opened = open_writer(model, device)
    plan = RolloutPlan(
        model_sha256=opened.subject.sha256,
        examples=tuple(examples),
        latent=replace(recipe.latent, steps=steps),
        draws=None if from_steps else Draws(samples, temperature, seed=seed),
        max_tokens=max_tokens,
    )
    _print(write_rollouts(output, plan, opened, counted), as_json)


def _recipe(config: Path | None) -> Recipe:
    """Return the recipe; raises CurriculumError for one that trains no latent steps."""
    from rim_edge.errors import CurriculumError
    from rim_edge.recipe.presets import preset
    from rim_edge.recipe.toml import read_recipe

    recipe = preset(Preset.QTHINK) if config is None else read_recipe(config)
    if not recipe.curriculum.is_latent:
        raise CurriculumError(
            f"{config} trains no latent steps, expected stages of the objective 'latent'. Nothing else learns "
            "from rollouts."
        )
    return recipe


def _examples(data: list[str] | None, recipe: Recipe, skip_bad: bool) -> list[Example]:
    from rim_edge.cli.output import note
    from rim_edge.data.files import read_file
    from rim_edge.errors import DataError
    from rim_edge.recipe.inputs import BadRows, parse_data_option

    files = tuple(parse_data_option(file) for file in data or ()) or recipe.data
    if not files:
        raise DataError(
            "There are no questions, expected a file of rows. Pass --data FILE, or write [[data]] into the recipe."
        )
    found: list[Example] = []
    for file in files:
        read = read_file(file, BadRows.SKIP if skip_bad else BadRows.REFUSE)
        if read.skipped:
            note(f"{file.path.name}: {read.skipped:,} bad rows skipped, the first: {read.first_bad}")
        found += read.examples
    return found


def _print(result: RolloutResult, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "folder": str(result.folder),
                "questions": result.questions,
                "rollouts": result.rollouts,
                "right": result.right,
                "questions_with_a_right_one": result.with_right,
                "tokens": result.tokens,
            }
        )
        return
    share = result.right / max(result.rollouts, 1)
    print(
        f"{result.rollouts:,} rollouts of {result.questions:,} questions, {share:.1%} right; "
        f"{result.with_right:,} questions have a right one. {result.folder}"
    )
