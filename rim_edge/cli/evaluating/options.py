"""The options of `rim-edge eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rim_runtime.bundle.manifest import Precision
from rim_runtime.generate.sampling import MOST_SAMPLES

from rim_edge.cli.options import MODEL, listed, new_path
from rim_edge.evaluation.way import Way

TEXT, RESULTS = "Answers that are written", "Results"
"""Panels."""

FileArgument = Annotated[
    Path | None,
    typer.Argument(metavar="FILE", help="Rows with answers (.jsonl, .json or .txt).", show_default=False),
]
BudgetsOption = Annotated[
    str | None,
    typer.Option(
        "--blocks",
        metavar="LOW..HIGH",
        help="Numbers of memory blocks, one after another.",
        show_default="0..K",
    ),
]
WayOption = Annotated[
    Way | None,
    typer.Option(
        "--as",
        metavar="NAME",
        help=f"{listed(Way)}: how an answer comes about.",
        show_default="letter; open for rows without letters",
    ),
]
ShuffleOption = Annotated[
    bool, typer.Option("--shuffle", help="With --limit: rows drawn by --seed, not the first.")
]
OneByOneOption = Annotated[
    bool, typer.Option("--one-by-one", help="Ask each question alone, and tell how long its answer takes.")
]
PrecisionOption = Annotated[
    Precision | None,
    typer.Option(
        "--precision",
        metavar="NAME",
        help=f"{listed(Precision)}. Of a bundle, a variant; of a checkpoint, the arithmetic: fp32, bf16 or fp16.",
        show_default="the bundle's first; fp32, on a GPU bf16 if stored so",
        rich_help_panel=MODEL,
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="NAME",
        help="With --model: auto (a GPU if there is one), cpu, cuda or cuda:N.",
        rich_help_panel=MODEL,
    ),
]
ChainOption = Annotated[
    int | None,
    typer.Option(
        "--chain",
        min=1,
        metavar="N",
        help="With --model: beside the answers, written steps too, of at most so many tokens.",
        rich_help_panel=TEXT,
    ),
]
EachBlockOption = Annotated[
    bool,
    typer.Option(
        "--each-block",
        help="With --model: letters too where one block alone, each in turn, is another question's.",
    ),
]
MaxTokensOption = Annotated[
    int | None,
    typer.Option(
        "--max-tokens",
        metavar="N",
        min=1,
        help="The longest text.",
        show_default="open 24, zero-shot 256, chain 512, latent 2048",
        rich_help_panel=TEXT,
    ),
]
InstructionOption = Annotated[
    str,
    typer.Option(
        "--instruction",
        metavar="TEXT",
        help="What is said before each question, as 'Think step by step.'",
        show_default=False,
        rich_help_panel=TEXT,
    ),
]
SamplesOption = Annotated[
    int | None,
    typer.Option(
        "--samples",
        metavar="N",
        min=1,
        max=MOST_SAMPLES,
        help="Texts to draw of each question for pass@k, beside the likeliest, which is scored.",
        rich_help_panel=TEXT,
    ),
]
TemperatureOption = Annotated[
    float,
    typer.Option("--temperature", metavar="N", min=0.01, help="Of these texts.", rich_help_panel=TEXT),
]
PassAtOption = Annotated[
    list[int] | None,
    typer.Option(
        "--pass-at",
        metavar="K",
        min=1,
        help="How often one of K drawn answers is right; repeat it for more. Letters need no samples.",
        show_default="the samples",
        rich_help_panel=RESULTS,
    ),
]
PermuteOption = Annotated[
    bool,
    typer.Option(
        "--permute",
        help="Ask each question with its options in every order of a rotation; the letter is that of their mean.",
    ),
]
SaveOption = Annotated[
    Path | None,
    typer.Option(
        "--save",
        metavar="FILE",
        parser=new_path,
        help="Write a line of JSON for each row as it is answered; a run that was stopped goes on there.",
        rich_help_panel=RESULTS,
    ),
]
SavedOption = Annotated[
    Path | None,
    typer.Option(
        "--saved",
        metavar="FILE",
        help="Ask nothing: show a run that --save wrote.",
        show_default=False,
        rich_help_panel=RESULTS,
    ),
]
AgainstOption = Annotated[
    Path | None,
    typer.Option(
        "--against",
        metavar="FILE",
        help="Compare with a saved run on the same questions (McNemar's exact test).",
        rich_help_panel=RESULTS,
    ),
]
CardOption = Annotated[
    Path | None,
    typer.Option(
        "--card",
        metavar="FILE",
        help="Score all models, ways and data of a TOML file instead, and print one table.",
        rich_help_panel=RESULTS,
    ),
]
HtmlOption = Annotated[
    Path | None,
    typer.Option(
        "--html",
        metavar="FILE",
        parser=new_path,
        help="Write what was found as one page, too, which loads nothing from elsewhere.",
        rich_help_panel=RESULTS,
    ),
]
