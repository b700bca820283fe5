"""One row of the result: what is made of a checkpoint, and the process that writes with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.made import read_figures
from harness.row import Missing, Row

ONE, MANY, SINGLE_PASS = "one", "many", "single pass"
"""What a worker is asked (workers/decode)."""


@dataclass(frozen=True)
class Writer:
    """A way to write text with a model."""

    name: str
    """As the result names it."""
    make: Callable[[], dict[str, Any]]
    """Makes it unless it is there, and returns the figures of its making; `failed` says why it cannot be."""
    command: tuple[str, ...]
    """Its worker."""
    environment: Mapping[str, str]
    """The worker's environment."""
    model: Path
    """The file or folder it loads; the figures of its making lie beside it."""
    ours: bool = False
    """Whether it is ours."""
    note: str = ""
    """What a reader must know."""

    def row(self) -> Row | Missing:
        """Return what harness/rounds.py starts and asks in turns."""
        figures = read_figures(self.model)
        if "failed" in figures:
            return Missing(self.name, figures["failed"])
        asks = (SINGLE_PASS, ONE, MANY) if self.ours else (ONE, MANY)
        return Row(
            self.name, self.command, self.environment, self.model, 0, asks=asks, ours=self.ours, note=self.note
        )
