"""What an engine must do to answer: run the single-pass graph.

| tensor | type, shape | meaning |
| --- | --- | --- |
| in `question_ids` | int64 [batch, length] | the question segment, right-padded with 0 |
| in `question_length` | int64 [batch] | its length |
| in `blocks` | int64 [batch] | memory blocks to use, 0..K |
| out | float32 [batch, letters] | logits of the letters, in the manifest's order |
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rim_runtime.manifest import Precision

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
