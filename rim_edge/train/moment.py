"""Where a run stands: what is needed, besides the weights, to go on from there to the same losses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor, nn

RECENT = 20
"""Steps whose losses tell how a stage is doing."""


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
    """Wall time, of the last process to train it where it was resumed."""
    right: tuple[int, ...] = ()
    """Right answers behind it with 0, 1, … memory blocks, of what the run is scored on; empty where it is not."""


@dataclass(frozen=True)
class Moment:
    """A point between two optimizer steps."""

    finished: tuple[StageResult, ...] = ()
    """The stages that are done."""
    losses: tuple[float, ...] = ()
    """Of the stage that is being trained: the last steps' losses, 20 at most."""
    steps: int = 0
    """Of that stage: optimizer steps done."""
    optimizer: Mapping[int, Mapping[str, Tensor]] = field(default_factory=dict, repr=False)
    """Of that stage: the optimizer's state by parameter; empty before its first step."""

    @property
    def done(self) -> int:
        """Optimizer steps of all stages."""
        return sum(stage.steps for stage in self.finished) + self.steps

    @property
    def loss(self) -> float:
        """The mean loss of the last steps; there must be some."""
        return sum(self.losses) / len(self.losses)

    def after(self, loss: float) -> Moment:
        """Return the moment one step later."""
        return replace(self, steps=self.steps + 1, losses=(*self.losses, loss)[-RECENT:], optimizer={})

    def behind(self, name: str, seconds: float) -> Moment:
        """Return the moment in which this stage is finished."""
        return Moment((*self.finished, StageResult(name, self.steps, self.loss, seconds)))

    def scored(self, right: tuple[int, ...]) -> Moment:
        """Return the moment with the right answers behind the stage that was finished last."""
        *before, last = self.finished
        return replace(self, finished=(*before, replace(last, right=right)))


def what_learns(model: nn.Module) -> dict[str, Tensor]:
    """Return the parameters that learn, by name: the weights that belong to a moment."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
