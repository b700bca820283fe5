"""A backend without a model: deterministic answers and a record of what was asked, for embedders' tests."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rim_runtime.backends.protocol import Floats, Ints
from rim_runtime.errors import EngineClosedError
from rim_runtime.manifest import Precision
from rim_runtime.options import LETTERS


@dataclass(frozen=True)
class FakeCall:
    """One question as it reached the backend."""

    question_ids: tuple[int, ...]
    """The question segment, without padding."""
    blocks: int
    """Memory blocks asked for."""
    batch: int
    """Rows of the batch it came in."""


class FakeBackend:
    """Answers with given logits, or with numbers that depend on the question's ids and blocks alone."""

    name = "fake"
    batch_tokens = 512
    precision = Precision.FP32
    fingerprint = "fake"

    def __init__(self, logits: Sequence[float] | None = None, *, letters: int = len(LETTERS)) -> None:
        """Answer every question with `logits`; without them, by a checksum of the question."""
        self.calls: list[FakeCall] = []
        self.closed = False
        self._logits = None if logits is None else np.asarray(logits, np.float32)
        self._letters = letters
        self._lock = threading.Lock()

    def run(self, question_ids: Ints, question_length: Ints, blocks: Ints) -> Floats:
        """Record the rows and return float32 [batch, letters]."""
        if self.closed:
            raise EngineClosedError
        rows = zip(question_ids.tolist(), question_length.tolist(), blocks.tolist(), strict=True)
        calls = [FakeCall(tuple(ids[:length]), count, len(question_ids)) for ids, length, count in rows]
        with self._lock:
            self.calls.extend(calls)
        return np.stack([self._row(call) for call in calls])

    def close(self) -> None:
        """Refuse further runs."""
        self.closed = True

    def _row(self, call: FakeCall) -> Floats:
        if self._logits is not None:
            return self._logits
        seed = zlib.crc32(repr((call.question_ids, call.blocks)).encode())
        return np.random.default_rng(seed).normal(0, 3, self._letters).astype(np.float32)
