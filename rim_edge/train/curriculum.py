"""The curriculum as values: stages that are trained one after the other, each with a fresh optimizer.

Sources: rim-method, sections 5 and 6. Where they are silent the field's docstring says what was chosen.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from enum import StrEnum

from rim_edge.train.errors import CurriculumError


class Objective(StrEnum):
    """What a stage trains."""

    TEXT = "text"
    """Plain causal text behind the prompt, no blocks: the example's own spans, else steps and answer."""
    STEPS = "steps"
    """RiM stage 1: one block a step, each step read out behind its block."""
    ANSWER = "answer"
    """RiM stage 2: K blocks, the same answer read out behind each of them."""


class Alignment(StrEnum):
    """What the readout behind block t says in stage 1."""

    NEXT_STEP = "next_step"
    """Block t replaces step t, so it says step t + 1; the last one says the answer."""
    SAME_STEP = "same_step"
    """Block t says step t, and one extra block says the answer."""


class Anneal(StrEnum):
    """How the weight of a step's readout falls during stage 1."""

    RELATIVE = "relative"
    """max(0, 1 - s / (S·t/T)): early steps lose their supervision first."""
    UNIFORM = "uniform"
    """Weight 1 throughout."""


class LastStep(StrEnum):
    """What happens to the answer's own weight in stage 1; the sources do not say."""

    KEEP = "keep"
    """It stays 1."""
    DECAY = "decay"
    """It is annealed like the steps."""


class Schedule(StrEnum):
    """The learning rate behind the warm-up."""

    CONSTANT = "constant"
    """As in the paper."""
    LINEAR = "linear"
    """Falls to zero at the stage's end."""


@dataclass(frozen=True)
class Extension:
    """Goes on with a stage that has not solved its task; seeds differ by hundreds of steps in when they do."""

    loss: float
    """Solved when the mean loss of the last steps, 20 at most, is below this."""
    at_most: int
    """Never more steps than these in the whole stage."""


@dataclass(frozen=True)
class Stage:
    """One stage of the curriculum."""

    name: str
    """Shown in progress and metrics."""
    objective: Objective
    """What it trains."""
    steps: int
    """Optimizer steps, at least."""
    learning_rate: float
    """Peak learning rate of AdamW."""
    schedule: Schedule = Schedule.CONSTANT
    """Behind the warm-up."""
    warmup_share: float = 0.04
    """Share of the steps in which the rate rises from zero."""
    weight_decay: float = 0.0
    """AdamW's, on matrices only."""
    alignment: Alignment = Alignment.NEXT_STEP
    """Stage 1: which step a block says."""
    anneal: Anneal = Anneal.RELATIVE
    """Stage 1: how the steps' weights fall."""
    last_step: LastStep = LastStep.KEEP
    """Stage 1: whether the answer's weight falls too."""
    extension: Extension | None = None
    """Whether the stage goes on when its steps are done but its task is not."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise CurriculumError(
                f"Stage '{self.name}' has {self.steps} steps, expected at least 1. Give it more."
            )
        if self.learning_rate <= 0:
            raise CurriculumError(
                f"Stage '{self.name}' has the learning rate {self.learning_rate}, expected more than 0."
            )
        if not 0 <= self.warmup_share < 1:
            raise CurriculumError(
                f"Stage '{self.name}' has the warm-up share {self.warmup_share}, expected 0 up to 1."
            )


@dataclass(frozen=True)
class Curriculum:
    """The stages and what they share."""

    stages: tuple[Stage, ...]
    """Trained in this order."""
    batch_size: int = 64
    """Examples in an optimizer step."""
    clip_norm: float = 1.0
    """Gradients are scaled down to this norm."""
    betas: tuple[float, float] = (0.9, 0.999)
    """AdamW's moments."""

    def __post_init__(self) -> None:
        if not self.stages:
            raise CurriculumError("The curriculum has no stage, expected at least one.")
        if self.batch_size < 1:
            raise CurriculumError(f"The batch size is {self.batch_size}, expected at least 1.")

    @property
    def steps(self) -> int:
        """Optimizer steps of all stages together."""
        return sum(stage.steps for stage in self.stages)

    def scaled(self, steps: int) -> Curriculum:
        """Return the same curriculum in exactly `steps` steps, shared out in proportion, one at least a stage."""
        if steps < len(self.stages):
            raise CurriculumError(
                f"Got {steps} steps for {len(self.stages)} stages, expected at least one each. "
                f"Pass --steps {len(self.stages)} or more."
            )
        ends, total = [0], 0
        for stage in self.stages:
            total += stage.steps
            ends.append(max(round(steps * total / self.steps), ends[-1] + 1))
        for index in range(len(self.stages), 0, -1):
            ends[index] = min(ends[index], steps - (len(self.stages) - index))
        shares = [end - start for start, end in itertools.pairwise(ends)]
        stages = [
            replace(stage, steps=share, extension=None) for stage, share in zip(self.stages, shares, strict=True)
        ]
        return replace(self, stages=tuple(stages))
