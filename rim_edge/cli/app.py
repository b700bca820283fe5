"""The command line as a whole. A verb's module is imported when it is used, so that start-up stays short."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

import typer

from rim_edge.cli.show.pages import Command, Group, epilog
from rim_edge.cli.verbs import VERBS

SETTINGS = {"help_option_names": ["-h", "--help"]}


class Verbs(Group):
    """All verbs, each imported when it is looked up."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order of the help page."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a verb's command; None if there is none of this name."""
        return load_verb(cmd_name) if cmd_name in VERBS else None


def load_verb(name: str) -> Any:
    """Return the command of a verb, with its examples."""
    verb = VERBS[name]
    module, _, function = verb.place.rpartition(".")
    found = getattr(import_module(f"rim_edge.cli.{module}"), function)
    if not isinstance(found, typer.Typer):
        single = typer.Typer(add_completion=False, rich_markup_mode="rich")
        single.command(name, cls=Command, epilog=epilog(*verb.examples))(found)
        found = single
    command: Any = typer.main.get_command(found)
    command.name, command.rich_help_panel = name, verb.panel
    return command


app = typer.Typer(
    cls=Verbs,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings=SETTINGS,
    epilog=epilog(
        'rim-edge ask "Which vitamin prevents scurvy?" -c "Vitamin A" -c "Vitamin C"', "rim-edge doctor"
    ),
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
