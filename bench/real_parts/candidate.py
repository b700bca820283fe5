"""One row of the result: what is made of the checkpoint, and the process that answers with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.row import Row


@dataclass(frozen=True)
class Candidate:
    """A way to make the model smaller."""

    name: str
    """As the result names it."""
    make: Callable[[], dict[str, Any]]
    """Makes it unless it is there, and returns the figures of its making; `failed` says why it cannot be."""
    command: tuple[str, ...]
    """Its worker: it answers `rows` and `letters` (workers/real)."""
    environment: Mapping[str, str]
    """The worker's environment."""
    files: Callable[[], tuple[Path, ...]]
    """The files that answer a question; their bytes are its size."""
    ours: bool = False
    """Whether it is ours."""
    exams: bool = False
    """Whether it answers the medical questions: two minutes each in fp32."""
    note: str = ""
    """What a reader must know."""

    def row(self) -> Row:
        """Return it as what harness/worker.py starts and harness/rounds.py asks in turns."""
        return Row(
            self.name,
            self.command,
            self.environment,
            self.files()[0].parent,
            0,
            asks=("letters",),
            ours=self.ours,
            note=self.note,
        )

    @property
    def bytes(self) -> int:
        """Bytes of the files that answer a question."""
        return sum(file.stat().st_size for file in self.files())
