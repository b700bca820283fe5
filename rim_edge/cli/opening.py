"""Open the engine of a command, with its progress on a terminal and its notes on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from rim_runtime.engines.backend import Answers

from rim_edge.cli.output import note
from rim_edge.cli.progress import runtime_line

if TYPE_CHECKING:
    from pathlib import Path

    from rim_runtime.bundle.manifest import Manifest
    from rim_runtime.engine import Engine


@contextmanager
def folder_of(place: Path) -> Iterator[Path]:
    """Give the folder of a bundle; one in a .zip file is unpacked for the time of the block."""
    from rim_runtime.bundle.unpacking import unpacked

    with ExitStack() as stack:
        with runtime_line() as progress:
            folder = stack.enter_context(unpacked(place, progress))
        yield folder


def open_engine(
    bundle: Path, engine: str = "auto", precision: str | None = None, answers: Answers = Answers.MANY
) -> Engine:
    """Load a bundle for asking, and say what the user should know about it."""
    loaded = load_engine(bundle, engine, precision, answers)
    if is_demo(loaded.manifest):
        note(
            "this is the embedded demo, a toy that answers three kinds of puzzle; "
            "bring a model of your own with: rim-edge export"
        )
    return loaded


def load_engine(
    bundle: Path, engine: str = "auto", precision: str | None = None, answers: Answers = Answers.MANY
) -> Engine:
    """Load a bundle whose nature the user knows, and say what was noted on the way."""
    from rim_runtime.engine import Engine

    with runtime_line() as progress:
        loaded = Engine.load(bundle, engine=engine, precision=precision, answers=answers, progress=progress)
    for text in loaded.notes:
        note(text)
    return loaded


def is_demo(manifest: Manifest) -> bool:
    """Whether a bundle holds the demo's model: the embedded one, a copy, or another export of its weights."""
    from rim_runtime.bundle.folder import Bundle
    from rim_runtime.bundle.names import demo_folder
    from rim_runtime.errors import RimError

    folder = demo_folder()
    try:
        demo = None if folder is None else Bundle.load(folder).manifest
    except RimError:  # an installation without it, or with a damaged one
        return False
    if demo is None:
        return False
    weights = manifest.source.weights_sha256
    return manifest.sha256 == demo.sha256 or (bool(weights) and weights == demo.source.weights_sha256)
