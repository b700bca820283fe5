"""What the command line changes of a recipe: the settings that people reach for first."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rim_edge.recipe.bounds import positive
from rim_edge.recipe.recipe import MicroBatch, Recipe, Trains


@dataclass(frozen=True)
class Changes:
    """Settings in the place of a recipe's; None keeps the recipe's."""

    learning_rate: float | None = None
    """The peak rate of the first stage; the others keep their ratio to it."""
    batch_size: int | None = None
    """Examples in an optimizer step."""
    micro_batch: int | MicroBatch | None = None
    """Examples in one pass."""
    lora_rank: int | None = None
    """Rank of the adapters; 0 trains whole layers."""

    def of(self, recipe: Recipe) -> Recipe:
        """Return the changed recipe. Raises CurriculumError."""
        if self.learning_rate is not None:
            recipe = _with_rate(recipe, self.learning_rate)
        if self.batch_size is not None:
            recipe = replace(recipe, curriculum=replace(recipe.curriculum, batch_size=self.batch_size))
        if self.micro_batch is not None:
            recipe = replace(recipe, resources=replace(recipe.resources, micro_batch=self.micro_batch))
        return recipe if self.lora_rank is None else _with_rank(recipe, self.lora_rank)


def _with_rate(recipe: Recipe, rate: float) -> Recipe:
    positive("", "learning_rate", rate)
    factor = rate / recipe.curriculum.stages[0].learning_rate
    stages = [replace(stage, learning_rate=stage.learning_rate * factor) for stage in recipe.curriculum.stages]
    return replace(recipe, curriculum=replace(recipe.curriculum, stages=tuple(stages)))


def _with_rank(recipe: Recipe, rank: int) -> Recipe:
    if rank == 0:
        return replace(recipe, trains=Trains.FULL)
    return replace(recipe, trains=Trains.LORA, lora=replace(recipe.lora, rank=rank))
