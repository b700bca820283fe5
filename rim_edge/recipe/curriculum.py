"""The curriculum as values: stages that are trained one after the other, each with a fresh optimizer.

Sources: rim-method, sections 5 and 6. Where they are silent the field's docstring says what was chosen.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

from rim_edge.errors import CurriculumError
from rim_edge.recipe.bounds import SettingError, not_negative, positive, share, shown, text, whole
from rim_edge.recipe.switches import (
    Alignment,
    Anneal,
    BlockWeights,
    Fading,
    LastStep,
    Normalisation,
    Objective,
    Reduction,
    Schedule,
    StepEnd,
    Visibility,
)


@dataclass(frozen=True)
class Extension:
    """Extends a stage that has not solved its task; seeds differ by hundreds of steps in when they solve it."""

    loss: float
    """Solved when the mean loss of the last steps, 20 at most, is below this."""
    at_most: int
    """The most steps of the whole stage."""

    def __post_init__(self) -> None:
        not_negative("extension", "loss", self.loss)
        whole("extension", "at_most", self.at_most, 1)


@dataclass(frozen=True)
class Stage:
    """One stage of the curriculum."""

    name: str
    """Shown in progress and metrics."""
    objective: Objective
    """What it trains."""
    steps: int = field(metadata={"unless": "epochs"})
    """Optimizer steps, at least; 0 where `epochs` says how long it is."""
    learning_rate: float
    """Peak learning rate of AdamW."""
    schedule: Schedule = Schedule.CONSTANT
    """After the warm-up."""
    warmup_share: float = 0.04
    """Share of the steps in which the rate rises from zero."""
    weight_decay: float = 0.0
    """AdamW's, on matrices only."""
    dropout: float = 0.0
    """Of the adapters' inputs where LoRA trains, of the attention elsewhere; the sources do not say which."""
    alignment: Alignment = Alignment.NEXT_STEP
    """Stage 1: which step a block says."""
    anneal: Anneal = Anneal.LINEAR_RELATIVE
    """Stage 1: how the steps' weights fall."""
    last_step: LastStep = LastStep.KEEP
    """Stage 1: whether the answer's weight falls too."""
    block_weights: BlockWeights = BlockWeights.RISING
    """Stage 2: how much the answer after each block weighs."""
    choice_weight: float = 1.0
    """Factor of the loss of multiple-choice examples; the card's v2 raises it in stage 2 (inferred)."""
    visibility: Visibility = Visibility.QUESTION
    """What a readout may attend to."""
    normalisation: Normalisation = Normalisation.ROWS
    """What a batch's loss is divided by."""
    reduction: Reduction = Reduction.SUM
    """What becomes of the tokens of one readout."""
    step_end: StepEnd = StepEnd.NONE
    """Stage 1: how a written step ends behind its block."""
    fading: Fading = Fading.ONE_BY_ONE
    """Of the controls whose written steps fade: how many are left."""
    extension: Extension | None = None
    """Whether the stage goes on when its steps are done but its task is not."""
    epochs: float | None = None
    """How often it goes through the rows, instead of `steps`; known in steps once the rows are read."""

    def __post_init__(self) -> None:
        place = f"curriculum.stages[{shown(self.name)}]"
        text(place, "name", self.name)
        if self.epochs is None:
            whole(place, "steps", self.steps, 1)
        else:
            positive(place, "epochs", self.epochs)
            if self.steps != 0:
                raise SettingError(place, "steps", shown(self.steps), "either steps or epochs")
        positive(place, "learning_rate", self.learning_rate)
        share(place, "warmup_share", self.warmup_share)
        not_negative(place, "weight_decay", self.weight_decay)
        share(place, "dropout", self.dropout)
        positive(place, "choice_weight", self.choice_weight)
        if self.extension and self.last_step is LastStep.DECAY and self.anneal is not Anneal.UNIFORM:
            expected = f"{LastStep.KEEP}: when the stage's steps are done no step weighs anything, and it goes on"
            raise SettingError(place, "last_step", f"{self.last_step} beside an extension", expected)


@dataclass(frozen=True)
class Curriculum:
    """The stages and what they share."""

    stages: tuple[Stage, ...]
    """Trained in this order."""
    batch_size: int = 64
    """Examples in an optimizer step, over all processes."""
    clip_norm: float = 1.0
    """Gradients are scaled down to this norm."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay rates of AdamW's moments."""

    def __post_init__(self) -> None:
        if not self.stages:
            raise SettingError("curriculum", "stages", "empty", "at least one")
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise SettingError("curriculum", "stages", f"called {names}", "a name of its own for each")
        if len({stage.objective is Objective.LATENT for stage in self.stages}) > 1:
            raise SettingError(
                "curriculum",
                "stages",
                f"of the objectives {', '.join(stage.objective for stage in self.stages)}",
                f"{Objective.LATENT} in all of them or in none: it is a method of its own",
            )
        whole("curriculum", "batch_size", self.batch_size, 1)
        positive("curriculum", "clip_norm", self.clip_norm)
        for value in self.betas:
            share("curriculum", "betas", value)

    @property
    def steps(self) -> int:
        """Optimizer steps of all stages together."""
        return sum(stage.steps for stage in self.stages)

    @property
    def is_latent(self) -> bool:
        """Whether it trains latent steps (QThink) instead of memory blocks (RiM)."""
        return self.stages[0].objective is Objective.LATENT

    @property
    def needs_rows(self) -> bool:
        """Whether some stage's length is told in epochs."""
        return any(stage.epochs is not None for stage in self.stages)

    def steps_of(self, epochs: float, rows: int) -> int:
        """Return the optimizer steps that come nearest to going so often through so many rows, at least one."""
        positive("curriculum", "epochs", epochs)
        steps = max(1, round(epochs * rows / self.batch_size))
        whole("curriculum", "steps", steps, 1)
        return steps

    def in_steps(self, rows: int) -> Curriculum:
        """Return the same curriculum with all epochs as steps, for this number of rows."""
        stages = [
            stage if stage.epochs is None else replace(stage, steps=self.steps_of(stage.epochs, rows), epochs=None)
            for stage in self.stages
        ]
        return replace(self, stages=tuple(stages))

    def scaled(self, steps: int) -> Curriculum:
        """Return the same curriculum in exactly `steps` steps, in proportion, at least one per stage.

        All its stages must be told in steps. Raises CurriculumError.
        """
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
            replace(stage, steps=count, extension=None) for stage, count in zip(self.stages, shares, strict=True)
        ]
        return replace(self, stages=tuple(stages))
