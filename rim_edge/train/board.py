"""TensorBoard: a run's scalars as event files, in a folder of the run's own."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from rim_runtime.storage import storage_errors

from rim_edge.train.loop import Step
from rim_edge.train.scores import StageScores

_FLUSH_SECONDS = 10


class Board:
    """Writes events; the axis is the optimizer steps of all stages, of accuracies the number of blocks.

    Points behind `done`, which a run that was interrupted had written, are taken back.
    """

    def __init__(self, folder: Path, done: int) -> None:
        """Open the folder. Raises StorageError."""
        from torch.utils.tensorboard import SummaryWriter

        with storage_errors(folder):
            self._writer = SummaryWriter(str(folder), purge_step=done + 1, flush_secs=_FLUSH_SECONDS)

    def __enter__(self) -> Board:
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
