"""The interface of an engine, which runs the single-pass graph, and the options it is opened with.

| tensor | type, shape | meaning |
| --- | --- | --- |
| in `question_ids` | int64 [batch, length] | the question segment, right-padded with 0 |
| in `question_length` | int64 [batch] | its length |
| in `blocks` | int64 [batch] | memory blocks to use, 0..K |
| out | float32 [batch, letters] | logits of the letters, in the manifest's order |
"""

from __future__ import annotations

import operator
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rim_runtime.bundle.manifest import Precision
from rim_runtime.engines.cancellation import Cancellation, require_cancellation
from rim_runtime.errors import InputError

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

    def run(
        self, question_ids: Ints, question_length: Ints, blocks: Ints, cancel: Cancellation | None = None
    ) -> Floats:
        """Return the letters' logits, float32 [batch, letters]. Raises EngineFailedError.

        With `cancel`, it raises CancelledError, at least if that was cancelled before.
        """

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
    """The options an engine is opened with. Raises InputError for values that are none."""

    threads: int | None = None
    """Threads that work on one answer, up to `most_threads`; None: one per physical core."""
    answers: Answers = Answers.MANY
    """How many answers it is opened for."""
    cancel: Cancellation | None = None
    """Gives up the opening."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "threads", None if self.threads is None else _threads(self.threads))
        object.__setattr__(self, "answers", _answers(self.answers))
        require_cancellation(self.cancel)


def most_threads() -> int:
    """Return the largest number of threads an engine takes here: more than four a processor only cost memory."""
    return max(64, 4 * (os.cpu_count() or 1))


def run_rows(
    backend: Backend, rows: Sequence[Sequence[int]], blocks: int, cancel: Cancellation | None = None
) -> Floats:
    """Pad rows of token ids on the right and run them: float32 [batch, letters]. Raises what `Backend.run` does.

    The types are named: numpy's own integers are narrower on Windows before numpy 2.
    """
    lengths = np.array([len(row) for row in rows], np.int64)
    ids = np.zeros((len(rows), int(lengths.max())), np.int64)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
    given = ids, lengths, np.full(len(rows), blocks, np.int64)
    return backend.run(*given) if cancel is None else backend.run(*given, cancel)


def _threads(value: object) -> int:
    most = most_threads()
    try:
        if isinstance(value, bool):
            raise TypeError
        threads = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise InputError(f"threads is {value!r}, expected a whole number from 1 to {most}, or None.") from None
    if not 1 <= threads <= most:
        raise InputError(f"Got {threads} threads, expected 1 to {most}. Leave it out for one a physical core.")
    return threads


def _answers(value: object) -> Answers:
    try:
        return Answers(value)  # type: ignore[arg-type]
    except ValueError:
        raise InputError(f"answers is {value!r}, expected one of: {', '.join(Answers)}.") from None


MANY = EngineOptions()
"""Any number of answers, on all cores."""
