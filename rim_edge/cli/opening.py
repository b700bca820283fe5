"""Open the engine of a command, with its progress on a terminal and its notes on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rim_runtime.engines.backend import Answers

from rim_edge.cli.output import note, progress_line

if TYPE_CHECKING:
    from rim_runtime.bundle.names import ResolvedBundle
    from rim_runtime.engine import Engine


def open_engine(
    bundle: ResolvedBundle, engine: str = "auto", precision: str | None = None, answers: Answers = Answers.MANY
) -> Engine:
    """Load a bundle for asking, and say what the user should know about it."""
    from rim_runtime.bundle.names import Origin
    from rim_runtime.engine import Engine

    with progress_line() as progress:
        loaded = Engine.load(bundle.path, engine=engine, precision=precision, answers=answers, progress=progress)
    if bundle.origin is Origin.DEMO:
        note(
            "this is the embedded demo, a toy that solves three kinds of puzzle and knows nothing else; "
            "bring a model of your own with: rim-edge export"
        )
    for text in loaded.notes:
        note(text)
    return loaded
