"""What an engine is opened for, as far as it changes how it is opened."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Answers(StrEnum):
    """How many answers are wanted of an engine."""

    ONE = "one"
    """One alone: weights are used as they lie in the file. The 1.7B int8 on ort-cpu: 1 s sooner, 1.2 × as slow."""
    MANY = "many"
    """Weights are rearranged for speed when the engine is opened."""


@dataclass(frozen=True)
class Use:
    """What an engine is opened for."""

    threads: int | None = None
    """Threads that work on one answer; None: one a physical core."""
    answers: Answers = Answers.MANY
    """How many answers are wanted."""


MANY = Use()
"""Any number of answers, on all cores."""
