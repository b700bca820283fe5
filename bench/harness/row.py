"""One line of the result: a process that answers, and what it answers with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """A worker that is asked, once for each of its asks."""

    name: str
    """As the result names it."""
    command: tuple[str, ...]
    """Command line of its worker (workers/), interpreter first."""
    environment: Mapping[str, str]
    """Its environment."""
    model: Path
    """File or folder it loads: its bytes on disk, and what a cold start reads."""
    layers: int
    """Layers of that model."""
    cold: tuple[str, ...] = ()
    """What its command line is told more at a cold start: not to try settings out first."""
    asks: tuple[str, ...] = ("ask",)
    """What it can be asked."""
    ours: bool = False
    """Whether it is ours."""
    note: str = ""
    """What a reader must know about it."""


@dataclass(frozen=True)
class Missing:
    """A row that cannot be measured here."""

    name: str
    """As the result would name it."""
    reason: str
    """Why."""


def row_name(name: str, layers: int, whole: int) -> str:
    """Return a row's name: a slice of the model says so."""
    return name if layers == whole else f"{name}, {layers} of {whole} layers"
