"""What a slow step says of itself, before it begins and while it lasts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """What is being done, and what `Progress` counts meanwhile."""

    HASH = "hash"
    """A file is hashed; bytes of this file."""
    COPY = "copy"
    """A file is copied, and hashed on the way; bytes of this file."""
    LOAD = "load"
    """A model is loaded to a GPU; nothing is counted."""
    BUILD_PLAN = "build-plan"
    """A TensorRT plan is built; percent, as the library estimates them."""
    SELF_TEST = "self-test"
    """Golden questions are asked; questions. It ends before the total where they take too long."""


@dataclass(frozen=True)
class Progress:
    """How far a slow step is."""

    stage: Stage
    """What is being done."""
    done: int | None
    """How much of it is done, in the stage's unit; None where nothing is counted."""
    total: int | None
    """How much there is to do, in the same unit; None where nothing is counted."""
    text: str
    """A line for people; it stays the same while a step lasts."""

    @property
    def share(self) -> float | None:
        """The part that is done, 0..1; None where nothing is counted."""
        if self.done is None or self.total is None:
            return None
        return min(1.0, self.done / self.total) if self.total else 1.0


OnProgress = Callable[[Progress], None]
"""Called before each slow step, and while it lasts, in the thread that does it: of a GPU engine another one."""
