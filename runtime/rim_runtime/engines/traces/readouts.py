"""The interface of what runs a trace, which reads out behind every memory block in one pass.

| tensor | type, shape | meaning |
| --- | --- | --- |
| in `question_ids` | int64 [batch, length] | the question segment, right-padded with 0 |
| in `question_length` | int64 [batch] | its length |
| out `letter_logits` | float32 [batch, K+1, letters] | logits of the letters behind 0, 1, …, K blocks |
| out `logits`, where text is read | float32 [batch, K+1, vocabulary] | logits of the first token of a text |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from rim_runtime.bundle.manifest import Precision
from rim_runtime.engines.backend import Floats, Ints
from rim_runtime.engines.cancellation import Cancellation
from rim_runtime.engines.graph import CPU_BATCH_TOKENS


@dataclass(frozen=True)
class Readouts:
    """What a trace reads out."""

    letters: Floats
    """Logits of the letters, in the manifest's order, float32 [batch, K+1, letters]."""
    tokens: Floats | None
    """Logits of the first token of a text, float32 [batch, K+1, vocabulary]; None where none is read."""


class TraceEngine(Protocol):
    """One loaded trace graph. `run` may be called from several threads at once."""

    @property
    def name(self) -> str:
        """The engine's name, as in EngineName."""

    @property
    def precision(self) -> Precision:
        """The number format it runs in."""

    @property
    def fingerprint(self) -> str:
        """One line that identifies what computes: library version, device, graph."""

    def run(self, question_ids: Ints, question_length: Ints, cancel: Cancellation | None = None) -> Readouts:
        """Read out behind every block. Raises EngineFailedError, EngineClosedError and CancelledError."""

    def close(self) -> None:
        """Free what it holds; running calls finish first."""


class LettersByTrace:
    """A Backend that takes the readout behind the asked number of blocks, so that golden questions can test it."""

    batch_tokens = CPU_BATCH_TOKENS

    def __init__(self, engine: TraceEngine) -> None:
        self.name, self.precision, self.fingerprint = engine.name, engine.precision, engine.fingerprint
        self._engine = engine

    def run(
        self, question_ids: Ints, question_length: Ints, blocks: Ints, cancel: Cancellation | None = None
    ) -> Floats:
        """Return the letters' logits, float32 [batch, letters]."""
        found = self._engine.run(question_ids, question_length, cancel).letters
        chosen: Floats = found[np.arange(len(blocks)), blocks]
        return chosen

    def close(self) -> None:
        """Do nothing: the engine is its owner's."""
