"""The passes of an optimizer step: its samples, cut and made into tensors, all without the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from rim_edge.methods.method import Batch, Method
from rim_edge.recipe.curriculum import Stage


@dataclass(frozen=True)
class Pass:
    """What goes through the model at once."""

    samples: Sequence[Any]
    """The method's samples."""
    batch: Batch
    """Their tensors."""
    weights: Tensor
    """The weight of each of their terms: float32 [terms]."""

    def pinned(self) -> Pass:
        """Return the same pass in page-locked memory, which a CUDA device copies from while others compute."""
        return replace(self, batch=self.batch.pinned(), weights=self.weights.pin_memory())


@dataclass(frozen=True)
class StepBatch:
    """One process's share of an optimizer step's batch."""

    method: Method[Any]
    """Makes the tensors."""
    stage: Stage
    """What is trained."""
    step: int
    """Optimizer steps of the stage before this one."""
    samples: Sequence[Any]
    """The method's samples, in the order in which they were drawn."""
    micro_batch: int
    """Samples of one pass, at most."""
    made: tuple[Pass, ...] = ()
    """The passes, where they are made already."""

    @property
    def size(self) -> float:
        """What these samples add to the number that the batch's weighted sum is divided by."""
        return self.method.size(self.samples, self.stage, self.step)

    @property
    def count(self) -> int:
        """Number of passes."""
        return -(-len(self.samples) // self.micro_batch)

    def passes(self) -> Iterator[Pass]:
        """Give the passes; those that are not made already are made one at a time."""
        yield from self.made or map(self._pass, self._parts())

    def cut(self, micro_batch: int) -> StepBatch:
        """Return the same samples in passes of so many; if that is another number, they are to be made again."""
        return self if micro_batch == self.micro_batch else replace(self, micro_batch=micro_batch, made=())

    def with_made(self, passes: Iterable[Pass]) -> StepBatch:
        """Return the same batch with its passes, all of them, which need not be made any more."""
        return replace(self, made=tuple(passes))

    def _parts(self) -> list[Sequence[Any]]:
        """Split the samples, by length so that there is little padding."""
        if self.count == 1:
            return [self.samples]
        ordered, size = sorted(self.samples, key=self.method.length), self.micro_batch
        return [ordered[start : start + size] for start in range(0, len(ordered), size)]

    def _pass(self, samples: Sequence[Any]) -> Pass:
        weights = self.method.weights(samples, self.stage, self.step)
        return Pass(samples, self.method.batch(samples), weights)
