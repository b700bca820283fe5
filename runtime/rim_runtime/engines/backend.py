"""What an engine must do to answer: run the single-pass graph; and what it is opened for.

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
        """Which engine it is, as in EngineName."""

    @property
    def precision(self) -> Precision:
        """The number format it runs in."""

    @property
    def fingerprint(self) -> str:
        """One line that changes when something else computes: library version, device, variant."""

    @property
    def batch_tokens(self) -> int:
        """Padded tokens of a batch with which it answers the most questions a second."""

    def run(self, question_ids: Ints, question_length: Ints, blocks: Ints) -> Floats:
        """Return the letters' logits, float32 [batch, letters]. Raises EngineFailedError."""

    def close(self) -> None:
        """Free what it holds; calls that are running finish first."""


class Answers(StrEnum):
    """How many answers are wanted of an engine."""

    ONE = "one"
    """One alone: weights are used as they lie in the file. The 1.7B int8 on ort-cpu: 1 s sooner, 1.2 × as slow."""
    MANY = "many"
    """Weights are rearranged for speed when the engine is opened."""


@dataclass(frozen=True)
class EngineOptions:
    """What an engine is opened for."""

    threads: int | None = None
    """Threads that work on one answer; None: one a physical core."""
    answers: Answers = Answers.MANY
    """How many answers are wanted."""


MANY = EngineOptions()
"""Any number of answers, on all cores."""
