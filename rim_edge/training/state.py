"""The training state: what is needed, besides the weights, to go on to the same losses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor, nn

from rim_edge.recipe.curriculum import Curriculum, Stage

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
class Best:
    """The best score of the last stage so far, with all blocks."""

    done: int
    """Optimizer steps of all stages that were done then; the weights of that state are saved."""
    right: int
    """Right answers."""
    since: int = 0
    """Scores since then, none of them better."""


@dataclass(frozen=True)
class Plan:
    """The stages' learning rates and lengths, which may change when a run is resumed."""

    since: int
    """Optimizer steps of all stages that were done when it began to hold."""
    learning_rates: tuple[float, ...]
    """The peak rate of each stage."""
    steps: tuple[int, ...]
    """The optimizer steps of each stage, without its extension."""


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
    """The last steps' losses, 20 at most, of the stage that is being trained; until it begins, of the last one."""
    steps: int = 0
    """Of the stage that is being trained: optimizer steps done."""
    optimizer: Mapping[int, Mapping[str, Tensor]] = field(default_factory=dict, repr=False)
    """The optimizer's state by parameter, of the same stage as `losses`; a stage that begins has a fresh one."""
    plans: tuple[Plan, ...] = ()
    """Rates and lengths from the beginning on, one entry whenever they were changed."""
    best: Best | None = None
    """The best score of the last stage; None where it was not scored yet, or the last weights are kept anyway."""

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
        before = self.losses if self.steps else ()
        return replace(self, steps=self.steps + 1, losses=(*before, loss)[-RECENT:], optimizer={})

    def goes_on(self, stage: Stage) -> bool:
        """Whether the stage that is being trained has another step: one of its own, or one of its extension."""
        extension = stage.extension
        if self.steps < stage.steps or extension is None:
            return self.steps < stage.steps
        return self.steps < extension.at_most and self.loss >= extension.loss

    def finish_stage(self, name: str, seconds: float) -> TrainingState:
        """Return the state in which this stage is finished."""
        finished = (*self.finished, StageResult(name, self.steps, self.loss, seconds))
        return replace(self, finished=finished, steps=0)

    def reopened(self) -> TrainingState:
        """Return the state before the last stage was finished; the next one must not have begun."""
        *before, last = self.finished
        return replace(self, finished=tuple(before), steps=last.steps)

    def scored(self, right: RightAnswers) -> TrainingState:
        """Return the state with the right answers after the stage that was finished last."""
        *before, last = self.finished
        return replace(self, finished=(*before, replace(last, right=right.counts, right_letters=right.letters)))

    def measured(self, right: int) -> TrainingState:
        """Return the state with one more score of the last stage, of its weights."""
        best = self.best
        if best is not None and best.done == self.done:
            return self
        if best is None or right > best.right:
            return replace(self, best=Best(self.done, right))
        return replace(self, best=replace(best, since=best.since + 1))

    def planned(self, curriculum: Curriculum) -> TrainingState:
        """Return the state from which on this curriculum's rates and lengths hold."""
        rates, steps = zip(*((stage.learning_rate, stage.steps) for stage in curriculum.stages), strict=True)
        if self.plans and (self.plans[-1].learning_rates, self.plans[-1].steps) == (rates, steps):
            return self
        return replace(self, plans=(*self.plans, Plan(self.done, rates, steps)))


def what_learns(model: nn.Module) -> dict[str, Tensor]:
    """Return the parameters that learn, by name: the weights that belong to a state."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
