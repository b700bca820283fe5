"""What a run measures, and where everything that it makes lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.place import Place


@dataclass(frozen=True)
class Model:
    """A model that is measured."""

    name: str
    """As the result names it."""
    checkpoint: Path
    """Its checkpoint; the geometry's is made here."""
    certified: int = 256
    """Questions of its certificates, which are not the measurement: a coarse precision keeps few clear ones."""


@dataclass(frozen=True)
class Setting:
    """A run."""

    models: tuple[Model, ...]
    """What is measured, one after the other."""
    work: Path
    """Folder of everything that is made."""
    comparators: Path
    """Folder of the comparators' environments."""
    tokens: int
    """Tokens that are written after the first."""
    samples: int
    """Texts that are written at once."""
    rounds: int
    """Requests that a figure is the median of, the first of all apart."""

    @property
    def place(self) -> Place:
        """Where logs and made things go; the geometry plays no part here."""
        return Place(self.work, self.work, 0, 0)

    @property
    def environments(self) -> Place:
        """Where the comparators' environments are."""
        return Place(self.comparators, self.work, 0, 0)

    def made(self, model: Model, name: str) -> Path:
        """Return the folder of what was made of a model for one row."""
        return self.work / "made" / _plain(model.name) / _plain(name)

    def part(self, model: Model, group: str) -> Path:
        """Return the file of a measured group."""
        return self.work / "parts" / f"{_plain(model.name)}-{group}.json"


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)
