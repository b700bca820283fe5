"""The options of `rim-edge train`, in the order of its help page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rim_edge.cli.options import listed, new_path
from rim_edge.recipe.arms import Arm
from rim_edge.recipe.presets import Preset
from rim_edge.recipe.recipe import MicroBatch

DATA, LENGTH, RUN = "Data", "What is trained", "The run"
"""Panels of the help page."""


def micro_batch_of(text: str) -> int | MicroBatch:
    """Return what `--micro-batch` says. Raises BadParameter."""
    if text == MicroBatch.AUTO:
        return MicroBatch.AUTO
    if not text.isdecimal() or int(text) < 1:
        raise typer.BadParameter(f"--micro-batch is '{text}', expected a number of examples, 1 or more, or auto")
    return int(text)


OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR",
        parser=new_path,
        help="The checkpoint's folder; must not exist.",
        show_default="required",
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
LearningRateOption = Annotated[
    float | None,
    typer.Option(
        "--learning-rate",
        metavar="RATE",
        help="Peak rate of the first stage; the others keep their ratio to it.",
        show_default="the recipe's",
        rich_help_panel=LENGTH,
    ),
]
BatchSizeOption = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        metavar="N",
        min=1,
        help="Examples in an optimizer step, over all processes.",
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
MicroBatchOption = Annotated[
    str | None,
    typer.Option(
        "--micro-batch",
        metavar="N",
        help="Examples in one pass, or 'auto': as many as fit; half as many if memory runs out.",
        show_default="the recipe's",
        rich_help_panel=RUN,
    ),
]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="NAME",
        help="As torch calls it: cpu, cuda, cuda:1, mps.",
        show_default="the first GPU, else cpu",
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
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Show rows, lengths, memory and the time of three steps, and write nothing.",
        rich_help_panel=RUN,
    ),
]
PrintRecipeOption = Annotated[
    bool,
    typer.Option(
        "--print-recipe", help="Print the recipe as TOML, to change and pass to --config; train nothing."
    ),
]
