"""Options that several verbs share, so that they read the same everywhere. docs/cli.md lists the words.

A metavar says what kind of value is wanted: N a number, TEXT, FILE, DIR, BUNDLE (a folder, a .zip file or a name),
NAME (one of those that the help lists; the list comes from the code).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rim_runtime.bundle.manifest import Precision
from rim_runtime.engines.names import EngineName


def listed(words: Iterable[object]) -> str:
    """Return choices as a help text lists them."""
    *most, last = map(str, words)
    return f"{', '.join(most)} or {last}"


def bundle_names(incomplete: str) -> list[tuple[str, str]]:
    """Return the names of the bundles here that begin like this, for the shell's completion."""
    from rim_runtime.bundle.names import list_bundles

    try:
        listed_here = list_bundles()
    except (OSError, ValueError):  # a completion has nobody to tell it to
        return []
    return [(entry.name, str(entry.path)) for entry in listed_here if entry.name.startswith(incomplete)]


def new_path(text: str) -> Path:
    """Return the path of something to write. Raises BadParameter for '', which pathlib takes for this folder."""
    if not text:
        raise typer.BadParameter("the path is empty, expected a new one")
    return Path(text)


MODEL = "Model"
"""Panel of what answers: bundle, engine, precision, blocks."""

QuestionArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="QUESTION", help="The question; '-' or nothing reads it from a pipe.", show_default=False
    ),
]
ChoiceOption = Annotated[
    list[str] | None,
    typer.Option("--choice", "-c", metavar="TEXT", help="A choice of the question; repeat it for each."),
]
BundleOption = Annotated[
    str | None,
    typer.Option(
        "--bundle",
        "-b",
        metavar="BUNDLE",
        help="Folder, .zip file, or name from 'bundle list'.",
        show_default="yours",
        autocompletion=bundle_names,
        rich_help_panel=MODEL,
    ),
]
BundleArgument = Annotated[
    str, typer.Argument(metavar="BUNDLE", help="Folder, .zip file or name.", autocompletion=bundle_names)
]
BlocksOption = Annotated[
    int | None,
    typer.Option(
        "--blocks",
        metavar="N",
        min=0,
        help="Memory blocks to use; 0 is the control.",
        show_default="all",
        rich_help_panel=MODEL,
    ),
]
EngineOption = Annotated[
    EngineName,
    typer.Option("--engine", metavar="NAME", help=f"{listed(EngineName)}.", rich_help_panel=MODEL),
]
PrecisionOption = Annotated[
    Precision | None,
    typer.Option(
        "--precision",
        metavar="NAME",
        help=f"One that 'bundle info' shows: {listed(Precision)}.",
        show_default="the bundle's first",
        rich_help_panel=MODEL,
    ),
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", min=1, metavar="N", help="The first N rows only.", show_default="all")
]
SkipBadOption = Annotated[bool, typer.Option("--skip-bad", help="Leave out bad rows, and count them.")]
SeedOption = Annotated[
    int,
    typer.Option("--seed", min=0, metavar="N", help="Of all that is drawn; the same seed gives the same result."),
]
CheckpointOption = Annotated[
    Path | None, typer.Option("--model", "-m", metavar="DIR", help="A checkpoint: a transformers folder.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one line of JSON, errors too.")]
