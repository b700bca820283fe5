"""All verbs together. Their heavy imports are inside the functions, so that start-up stays short."""

from __future__ import annotations

from typing import Annotated

import typer

from rim_edge.cli.ask import ask
from rim_edge.cli.bundle import bundle
from rim_edge.cli.demo import demo
from rim_edge.cli.doctor import doctor
from rim_edge.cli.eval import evaluate
from rim_edge.cli.export import export
from rim_edge.cli.prompt import prompt
from rim_edge.cli.train import train

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"rim-edge {version('rim-edge')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Ask a RiM model offline: checkpoint → verified bundle → answer, in one forward pass."""


app.command()(ask)
app.command()(demo)
app.command()(export)
app.command(short_help="Train a RiM model by a curriculum.")(train)
app.command("eval", short_help="Score a bundle or a checkpoint at every number of blocks.")(evaluate)
app.command()(prompt)
app.command()(doctor)
app.add_typer(bundle, name="bundle")
