"""Listeners of a run: the base class, and those that record it (metrics, TensorBoard, saved states)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from io import TextIOBase
from pathlib import Path
from types import TracebackType

from rim_runtime.machine.storage import storage_errors
from torch import Tensor

from rim_edge.evaluation.held_out import HeldOut
from rim_edge.evaluation.scores import StageScores
from rim_edge.recipe.curriculum import Curriculum
from rim_edge.training.gather import FileReport
from rim_edge.training.identity import Identity
from rim_edge.training.saved_states import SavedStates
from rim_edge.training.state import TrainingState

METRICS_EVERY = 10
"""Steps between two rows of metrics.jsonl, or points of TensorBoard; the first step of a stage has one too."""
_FLUSH_SECONDS = 10


@dataclass(frozen=True)
class RunStart:
    """What a run starts with."""

    files: tuple[FileReport, ...]
    """What was read of each file of training data, and what was left out."""
    held_out: HeldOut | None
    """What the run is scored on."""
    curriculum: Curriculum
    """What is trained, and for how long."""
    notes: tuple[str, ...] = ()
    """What was damaged or has changed since an earlier start, and the memory that the run takes."""


@dataclass(frozen=True)
class Step:
    """What one optimizer step did."""

    stage: str
    """The stage's name."""
    step: int
    """Steps done in this stage, from 1."""
    done: int
    """Steps done in all stages."""
    loss: float
    """The weighted loss, divided as the stage's normalisation says."""
    recent_loss: float
    """Its mean over the stage's last steps, 20 at most."""
    nll: tuple[float | None, ...]
    """Unweighted -log p: RiM's by the readouts' place t, mean over the rows that have one, None once a place
    weighs nothing (it is not computed); QThink's a token."""
    answer_nll: float
    """Unweighted -log p a token of the answers: the last text that each row learns."""
    grad_norm: float
    """The norm of all gradients, before they are clipped."""
    learning_rate: float
    """The rate of this step."""
    examples: int
    """Examples of the whole batch, over all processes."""
    tokens: int
    """Tokens of its packed rows."""
    padding: int
    """Padding of those rows, in tokens."""
    tokens_per_second: float
    """Tokens, without padding, over the time of the last steps, 20 at most; all processes together."""
    step_seconds: float
    """Mean time of those steps."""
    seconds: float
    """Time since this process began to train."""
    micro_batch: int
    """Examples of one pass of one process, at most."""
    distances: tuple[float, ...] = ()
    """QThink's mean distance to the teacher's state, by latent step that has one; empty elsewhere."""


@dataclass(frozen=True)
class Measured:
    """A score within a stage, with all blocks."""

    stage: str
    """The stage's name."""
    step: int
    """Steps done in this stage."""
    done: int
    """Steps done in all stages."""
    right: int
    """Right answers."""
    asked: int
    """Questions."""


class Listener:
    """Is called as a run goes on; subclasses override the methods they need.

    `train` calls it in every process; `rim-edge train` gives listeners to the first one alone.
    """

    def begin(self, start: RunStart) -> None:
        """Take what the run starts with, before its first step."""

    def step(self, step: Step) -> None:
        """Take an optimizer step that was done."""

    def save(self, state: TrainingState, weights: Mapping[str, Tensor]) -> None:
        """Take a state to start from, and the weights that learn; `train` says when."""

    def doing(self, text: str) -> None:
        """Take a short text on what takes time besides steps."""

    def measured(self, measured: Measured) -> None:
        """Take a score within a stage."""

    def scored(self, scores: StageScores) -> None:
        """Take the scores of a stage that is finished."""


class Listeners(Listener):
    """Several listeners, called in order."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = tuple(listeners)

    def begin(self, start: RunStart) -> None:
        """Call each listener."""
        for listener in self._listeners:
            listener.begin(start)

    def step(self, step: Step) -> None:
        """Call each listener."""
        for listener in self._listeners:
            listener.step(step)

    def save(self, state: TrainingState, weights: Mapping[str, Tensor]) -> None:
        """Call each listener."""
        for listener in self._listeners:
            listener.save(state, weights)

    def doing(self, text: str) -> None:
        """Call each listener."""
        for listener in self._listeners:
            listener.doing(text)

    def measured(self, measured: Measured) -> None:
        """Call each listener."""
        for listener in self._listeners:
            listener.measured(measured)

    def scored(self, scores: StageScores) -> None:
        """Call each listener."""
        for listener in self._listeners:
            listener.scored(scores)


class MetricsFile(Listener):
    """Adds rows to metrics.jsonl."""

    def __init__(self, rows: TextIOBase) -> None:
        self._rows = rows

    def step(self, step: Step) -> None:
        """Write a row, every METRICS_EVERY steps."""
        if _is_recorded(step):
            self._write(asdict(step))

    def measured(self, measured: Measured) -> None:
        """Write a row with the score."""
        self._write(asdict(measured))

    def _write(self, row: Mapping[str, object]) -> None:
        self._rows.write(json.dumps(row) + "\n")
        self._rows.flush()


class StateSaver(Listener):
    """Saves a run's states."""

    def __init__(self, saved: SavedStates, identity: Identity) -> None:
        self.saved = saved
        """Where they are saved."""
        self.identity = identity
        """What the run is."""

    def save(self, state: TrainingState, weights: Mapping[str, Tensor]) -> None:
        """Write the state. Raises StorageError."""
        self.saved.save(state, weights, self.identity)


class TensorBoard(Listener):
    """Writes events against the optimizer steps of all stages, accuracies against the number of blocks.

    Points after `done`, which an interrupted run had written, are removed.
    """

    def __init__(self, folder: Path, done: int) -> None:
        """Open the folder. Raises StorageError."""
        from torch.utils.tensorboard import SummaryWriter

        with storage_errors(folder):
            self._writer = SummaryWriter(str(folder), purge_step=done + 1, flush_secs=_FLUSH_SECONDS)

    def __enter__(self) -> TensorBoard:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is left, and close."""
        self._writer.close()

    def step(self, step: Step) -> None:
        """Add a step's loss, -log p by the readouts' place, norm, rate and pace, every METRICS_EVERY steps."""
        if not _is_recorded(step):
            return
        self._add(f"loss/{step.stage}", step.loss, step.done)
        self._add(f"answer nll/{step.stage}", step.answer_nll, step.done)
        for place, value in enumerate(step.nll, start=1):
            if value is not None:
                self._add(f"nll of {step.stage}/readout {place}", value, step.done)
        for place, value in enumerate(step.distances, start=1):
            self._add(f"distance of {step.stage}/taught step {place}", value, step.done)
        self._add("run/gradient norm", step.grad_norm, step.done)
        self._add("run/learning rate", step.learning_rate, step.done)
        self._add("run/tokens per second", step.tokens_per_second, step.done)

    def measured(self, measured: Measured) -> None:
        """Add a score within a stage."""
        self._add(f"accuracy/{measured.stage}", measured.right / measured.asked, measured.done)

    def scored(self, scores: StageScores) -> None:
        """Add a stage's accuracies."""
        for blocks, score in enumerate(scores.by_blocks):
            self._add(f"accuracy by blocks/{scores.stage}", score.accuracy, blocks)

    def _add(self, tag: str, value: float, at: int) -> None:
        self._writer.add_scalar(tag, value, at)


@contextmanager
def records(metrics: Path, events: Path | None, done: int) -> Iterator[tuple[Listener, ...]]:
    """Give the listeners that record a run: in the file `metrics` and, if given, TensorBoard's folder `events`.

    `done` steps are in the metrics already. Raises StorageError.
    """
    with ExitStack() as stack:
        boards = () if events is None else (stack.enter_context(TensorBoard(events, done)),)
        yield MetricsFile(stack.enter_context(metrics.open("a", encoding="utf-8"))), *boards


def _is_recorded(step: Step) -> bool:
    return step.step % METRICS_EVERY == 0 or step.step == 1
