"""Open what is scored: a bundle on an engine, or a checkpoint in torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rim_runtime.bundle.manifest import Precision
from rim_runtime.engines.names import EngineName

if TYPE_CHECKING:
    from rim_edge.evaluation.reading import Reader
    from rim_edge.evaluation.way import Manner


@dataclass(frozen=True)
class Chosen:
    """What is to be scored."""

    bundle: str | None = None
    """Folder, .zip file or name; None: the user's, unless there is a checkpoint."""
    engine: EngineName = EngineName.AUTO
    """What runs a bundle."""
    precision: Precision | None = None
    """A bundle's variant, or a checkpoint's arithmetic."""
    model: Path | None = None
    """A checkpoint's folder."""
    device: str = "auto"
    """Where a checkpoint runs."""
    chain: int | None = None
    """Tokens of written steps beside a checkpoint's answers."""
    each_block: bool = False
    """Whether each of a checkpoint's blocks alone is exchanged, too."""

    def __post_init__(self) -> None:
        if self.model is not None and self.bundle is not None:
            raise typer.BadParameter("--model and --bundle exclude each other")
        if self.model is not None and self.engine is not EngineName.AUTO:
            raise typer.BadParameter("--engine is for bundles: a checkpoint is scored in torch (--device)")
        if self.model is None and self.device != "auto":
            raise typer.BadParameter("--device needs --model: a bundle is scored on an engine (--engine)")
        if self.model is None and self.chain is not None:
            raise typer.BadParameter("--chain needs --model; of a bundle that writes text: --as chain")
        if self.model is None and self.each_block:
            raise typer.BadParameter("--each-block needs --model: a bundle's graph cannot be taken apart")


MakeReader = Callable[["Manner"], "Reader"]
"""Gives what asks in one manner. Raises InputError where this subject cannot be asked so."""


@contextmanager
def opened(chosen: Chosen) -> Iterator[MakeReader]:
    """Open a bundle or a checkpoint, for as many manners of asking as are wanted."""
    if chosen.model is None:
        with _bundle(chosen) as make:
            yield make
    else:
        yield _checkpoint(chosen, chosen.model)


@contextmanager
def _bundle(chosen: Chosen) -> Iterator[MakeReader]:
    from rim_runtime.bundle.names import resolve_bundle

    from rim_edge.cli.opening import folder_of, open_engine
    from rim_edge.evaluation.readers.bundle_reader import BundleReader

    place = resolve_bundle(chosen.bundle).path
    with folder_of(place) as folder, open_engine(folder, chosen.engine, chosen.precision) as engine:
        yield lambda manner: BundleReader(engine, place, manner)


def _checkpoint(chosen: Chosen, folder: Path) -> MakeReader:
    from rim_edge.cli.output import progress_line
    from rim_edge.extras import require_extra

    require_extra("train", "Evaluating a checkpoint")
    with progress_line() as progress:
        progress("reading the checkpoint")
        from rim_edge.evaluation.arithmetic import choose_arithmetic
        from rim_edge.evaluation.readers.checkpoint_reader import CheckpointReader, open_model

        model = open_model(folder, choose_arithmetic(folder, chosen.device, chosen.precision))
    return lambda manner: CheckpointReader(model, manner, chosen.chain, each_block=chosen.each_block)
