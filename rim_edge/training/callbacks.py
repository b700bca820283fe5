"""Who is told how a run goes, and what is written down of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType

from rim_runtime.machine.storage import storage_errors

from rim_edge.evaluation.held_out import HeldOut
from rim_edge.evaluation.scores import StageScores
from rim_edge.training.gather import FileReport
from rim_edge.training.loop import Step


@dataclass(frozen=True)
class RunStart:
    """What a run starts with."""

    files: tuple[FileReport, ...]
    """What was read of each file of training data, and what left out."""
    held_out: HeldOut | None
    """What the run is scored on."""


@dataclass(frozen=True)
class Audience:
    """Callables, each for one kind of news."""

    found: Callable[[RunStart], None] = lambda found: None
    """Before the first step."""
    step: Callable[[Step], None] = lambda step: None
    """Behind every optimizer step."""
    doing: Callable[[str], None] = lambda text: None
    """What takes time besides steps, in a few words."""
    scored: Callable[[StageScores], None] = lambda scores: None
    """Behind every stage that is scored."""


_FLUSH_SECONDS = 10


class TensorBoard:
    """Writes events; the axis is the optimizer steps of all stages, of accuracies the number of blocks.

    Points behind `done`, which a run that was interrupted had written, are taken back.
    """

    def __init__(self, folder: Path, done: int) -> None:
        """Open the folder. Raises StorageError."""
        from torch.utils.tensorboard import SummaryWriter

        with storage_errors(folder):
            self._writer = SummaryWriter(str(folder), purge_step=done + 1, flush_secs=_FLUSH_SECONDS)

    def __enter__(self) -> TensorBoard:
        """Return the board."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is left, and close."""
        self._writer.close()

    def step(self, step: Step) -> None:
        """Add a step's loss, -log p by the readouts' place, rate and pace."""
        self._add(f"loss/{step.stage}", step.loss, step.done)
        for place, value in enumerate(step.nll, start=1):
            self._add(f"nll of {step.stage}/readout {place}", value, step.done)
        self._add("run/learning rate", step.learning_rate, step.done)
        self._add("run/tokens per second", step.tokens_per_second, step.done)

    def scored(self, scores: StageScores) -> None:
        """Add a stage's accuracies."""
        for blocks, score in enumerate(scores.by_blocks):
            self._add(f"accuracy by blocks/{scores.stage}", score.accuracy, blocks)

    def _add(self, tag: str, value: float, at: int) -> None:
        self._writer.add_scalar(tag, value, at)


METRICS_EVERY = 10
"""Steps between two rows; the first step of a stage has one too."""


@contextmanager
def recorded(audience: Audience, metrics: Path, events: Path | None, done: int) -> Iterator[Audience]:
    """Give an audience that writes down what it is told and passes it on.

    `done` steps stand in the metrics already; the events go into the folder `events`. Raises StorageError.
    """
    board: TensorBoard | nullcontext[None] = nullcontext() if events is None else TensorBoard(events, done)
    with board as opened, metrics.open("a", encoding="utf-8") as rows:

        def step(told: Step) -> None:
            if told.step % METRICS_EVERY == 0 or told.step == 1:
                rows.write(json.dumps(asdict(told)) + "\n")
                rows.flush()
                if opened:
                    opened.step(told)
            audience.step(told)

        def scored(told: StageScores) -> None:
            if opened:
                opened.scored(told)
            audience.scored(told)

        yield replace(audience, step=step, scored=scored)
