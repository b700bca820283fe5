"""The training state: what is needed, besides the weights, to go on to the same losses; saved and restored."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from rim_runtime.errors import StorageError, TargetExistsError
from rim_runtime.machine.storage import new_folder, storage_errors
from safetensors.torch import load_file
from torch import Tensor, nn

from rim_edge.errors import CurriculumError, DivergedError, StoppedError
from rim_edge.model.checkpoint import require_finite, write_tensors
from rim_edge.training.lock import locked, refuse_locked

RECENT = 20
"""Number of last steps over which losses are averaged."""


@dataclass(frozen=True)
class RightAnswers:
    """How many items were answered right after a stage."""

    counts: tuple[int, ...] = ()
    """With 0, 1, … memory blocks; empty where the stage is not scored."""
    letters: tuple[int, ...] = ()
    """Of the items that are answered with a letter."""


@dataclass(frozen=True)
class Rates:
    """The stages' learning rates, which may change when a run is resumed."""

    since: int
    """Optimizer steps of all stages that were done when they began to hold."""
    by_stage: tuple[float, ...]
    """The peak rate of each stage."""


@dataclass(frozen=True)
class StageResult:
    """How a stage ended."""

    name: str
    """The stage's name."""
    steps: int
    """Optimizer steps done."""
    loss: float
    """Mean loss of the last steps, 20 at most."""
    seconds: float
    """Wall time; where it was resumed, that of the last process."""
    right: tuple[int, ...] = ()
    """Right answers after it with 0, 1, … memory blocks, of what the run is scored on; empty where it is not."""
    right_letters: tuple[int, ...] = ()
    """Those among them that are letters."""


@dataclass(frozen=True)
class TrainingState:
    """A point between two optimizer steps."""

    finished: tuple[StageResult, ...] = ()
    """The stages that are done."""
    losses: tuple[float, ...] = ()
    """Of the stage that is being trained: the last steps' losses, 20 at most."""
    steps: int = 0
    """Of that stage: optimizer steps done."""
    optimizer: Mapping[int, Mapping[str, Tensor]] = field(default_factory=dict, repr=False)
    """Of that stage: the optimizer's state by parameter; empty before its first step."""
    rates: tuple[Rates, ...] = ()
    """The learning rates from the beginning on, one entry whenever they were changed."""

    @property
    def done(self) -> int:
        """Optimizer steps of all stages."""
        return sum(stage.steps for stage in self.finished) + self.steps

    @property
    def loss(self) -> float:
        """The mean loss of the last steps; there must be some."""
        return sum(self.losses) / len(self.losses)

    def after(self, loss: float) -> TrainingState:
        """Return the state one step later."""
        return replace(self, steps=self.steps + 1, losses=(*self.losses, loss)[-RECENT:], optimizer={})

    def finish_stage(self, name: str, seconds: float) -> TrainingState:
        """Return the state in which this stage is finished."""
        finished = (*self.finished, StageResult(name, self.steps, self.loss, seconds))
        return TrainingState(finished, rates=self.rates)

    def scored(self, right: RightAnswers) -> TrainingState:
        """Return the state with the right answers after the stage that was finished last."""
        *before, last = self.finished
        return replace(self, finished=(*before, replace(last, right=right.counts, right_letters=right.letters)))

    def with_rates(self, by_stage: tuple[float, ...]) -> TrainingState:
        """Return the state from which on these learning rates hold."""
        if self.rates and self.rates[-1].by_stage == by_stage:
            return self
        return replace(self, rates=(*self.rates, Rates(self.done, by_stage)))


def what_learns(model: nn.Module) -> dict[str, Tensor]:
    """Return the parameters that learn, by name: the weights that belong to a state."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


_WEIGHTS, _OPTIMIZER, _STATE, METRICS = (
    "weights.safetensors",
    "optimizer.safetensors",
    "state.json",
    "metrics.jsonl",
)


@dataclass(frozen=True)
class SavedStates:
    """The folder of a run's saved states."""

    folder: Path
    """`<out>.progress`."""
    identity: Mapping[str, Any]
    """What the run is, as JSON: a state of another run is refused."""

    @classmethod
    def beside(cls, out: Path, identity: Mapping[str, Any]) -> SavedStates:
        """Return the folder that belongs to an output."""
        return cls(out.with_name(f"{out.name}.progress"), json.loads(json.dumps(identity)))

    def latest(self) -> Path | None:
        """Return the last saved state, if there is one."""
        return max(self.folder.glob("step-*"), default=None)

    def refuse_unfinished(self) -> None:
        """Raise TargetExistsError if there is a saved state, which a new run would lose."""
        if found := self.latest():
            refuse_locked(self.folder)
            raise TargetExistsError(
                f"{found} is a saved state of a run that was interrupted. Pass --resume to go on from there, "
                f"or delete {self.folder}."
            )

    @contextmanager
    def in_use(self) -> Iterator[Path]:
        """Make and lock the folder of a run, and give its file of metrics, with the rows of the saved state.

        The folder is removed when the block ends, and also when it fails before a state is saved; a killed process
        leaves it. Raises StorageError, and TargetExistsError while another run uses it.
        """
        with ExitStack() as stack:
            with storage_errors(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(self.folder))
            yield from self._filled()

    def _filled(self) -> Iterator[Path]:
        metrics, latest = self.folder / METRICS, self.latest()
        with storage_errors(self.folder):
            metrics.write_bytes(b"" if latest is None else (latest / METRICS).read_bytes())
        for half_written in self.folder.glob(".step-*"):
            shutil.rmtree(half_written, ignore_errors=True)
        try:
            with storage_errors(self.folder):
                yield metrics
        except BaseException:
            if self.latest() is None:
                self._remove()
            raise
        self._remove()

    def save(self, state: TrainingState, weights: Mapping[str, Tensor], metrics: Path) -> None:
        """Write a state with its weights, then remove the earlier ones.

        A state between two stages, which is scored, comes after the one of its last step, which is not.
        Raises StorageError, and DivergedError for weights that are not finite; then the earlier ones are kept.
        """
        require_finite(weights)
        target = self.folder / f"step-{state.done:08d}{'' if state.steps else '-scored'}"
        before = list(self.folder.glob("step-*"))
        body = {
            "run": self.identity,
            "finished": [asdict(result) for result in state.finished],
            "losses": state.losses,
            "steps": state.steps,
            "rates": [asdict(rates) for rates in state.rates],
        }
        with new_folder(target) as work:
            write_tensors(work / _WEIGHTS, weights)
            write_tensors(work / _OPTIMIZER, _flat(state.optimizer))
            (work / _STATE).write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")
            shutil.copyfile(metrics, work / METRICS)
        for folder in before:
            shutil.rmtree(folder, ignore_errors=True)

    def restore(self, saved: Path, model: torch.nn.Module) -> TrainingState:
        """Give the model the saved weights and return the state. Raises CurriculumError for another run's."""
        body = json.loads((saved / _STATE).read_text(encoding="utf-8"))
        self._check(saved, body.pop("run"))
        weights, learning = load_file(saved / _WEIGHTS), what_learns(model)
        with torch.no_grad():
            for name, parameter in learning.items():
                parameter.copy_(weights[name])
        finished = tuple(_stage_result(result) for result in body["finished"])
        optimizer = _nested(load_file(saved / _OPTIMIZER))
        rates = tuple(Rates(one["since"], tuple(one["by_stage"])) for one in body["rates"])
        return TrainingState(finished, tuple(body["losses"]), body["steps"], optimizer, rates)

    @contextmanager
    def named_in_errors(self) -> Iterator[None]:
        """Add to an error that ends a run where it can go on from, and how."""
        try:
            yield
        except (DivergedError, StoppedError, StorageError) as error:
            latest = self.latest()
            if latest is None:
                raise
            change = " and a lower learning_rate in the recipe" if isinstance(error, DivergedError) else ""
            raise type(error)(f"{error} The last state is {latest}: go on with --resume{change}.") from error

    def _remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _check(self, saved: Path, run: Mapping[str, Any]) -> None:
        changed = sorted(key for key in {*run, *self.identity} if run.get(key) != self.identity.get(key))
        if changed:
            raise CurriculumError(
                f"{saved} was saved by a run with another {', '.join(changed)}. "
                f"Start it as it was started then, or delete {self.folder} to begin anew."
            )


def _stage_result(saved: Mapping[str, Any]) -> StageResult:
    return StageResult(**{**saved, **{key: tuple(saved[key]) for key in ("right", "right_letters")}})


def _flat(optimizer: Mapping[int, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {f"{number}.{key}": value for number, values in optimizer.items() for key, value in values.items()}


def _nested(flat: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    state: dict[int, dict[str, Tensor]] = defaultdict(dict)
    for name, value in flat.items():
        number, _, key = name.partition(".")
        state[int(number)][key] = value
    return dict(state)
