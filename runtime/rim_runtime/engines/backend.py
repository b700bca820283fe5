"""The interface of an engine, which runs the single-pass graph, and the options it is opened with.

| tensor | type, shape | meaning |
| --- | --- | --- |
| in `question_ids` | int64 [batch, length] | the question segment, right-padded with 0 |
| in `question_length` | int64 [batch] | its length |
| in `blocks` | int64 [batch] | memory blocks to use, 0..K |
| out | float32 [batch, letters] | logits of the letters, in the manifest's order |
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rim_runtime.bundle.manifest import Precision

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


class Backend(Protocol):
    """One loaded graph. `run` may be called from several threads at once."""

    @property
    def name(self) -> str:
        """The engine's name, as in EngineName."""

    @property
    def precision(self) -> Precision:
        """The number format it runs in."""

    @property
    def fingerprint(self) -> str:
        """One line that identifies what computes: library version, device, variant."""

    @property
    def batch_tokens(self) -> int:
        """Padded tokens per batch at which it answers the most questions per second."""

    def run(self, question_ids: Ints, question_length: Ints, blocks: Ints) -> Floats:
        """Return the letters' logits, float32 [batch, letters]. Raises EngineFailedError."""

    def close(self) -> None:
        """Free what it holds; running calls finish first."""


class Answers(StrEnum):
    """How many answers an engine is opened for."""

    ONE = "one"
    """A single one: weights are used as stored. int8 1.7B on ort-cpu starts 1 s sooner and takes 1.2 × as long."""
    MANY = "many"
    """Weights are rearranged for speed when the engine is opened."""


@dataclass(frozen=True)
class EngineOptions:
    """The options an engine is opened with."""

    threads: int | None = None
    """Threads that work on one answer; None: one per physical core."""
    answers: Answers = Answers.MANY
    """How many answers it is opened for."""


MANY = EngineOptions()
"""Any number of answers, on all cores."""
