"""The card's table: a line for each model, way and number of memory blocks, part by part of the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rim_edge.evaluation.measured import Measured
from rim_edge.evaluation.scores import Score


@dataclass(frozen=True)
class Line:
    """One line of scores."""

    model: str
    """The model's name."""
    way: str
    """The way's name."""
    blocks: int | None
    """Memory blocks; None for a way that has none."""
    score: Score
    """Right answers."""
    measured: Measured
    """What they took."""


@dataclass(frozen=True)
class NotAsked:
    """A model that cannot be asked in a way about some data."""

    model: str
    """The model's name."""
    way: str
    """The way's name."""
    reason: str
    """Why, in a sentence."""


@dataclass(frozen=True)
class Part:
    """The lines about one file of rows."""

    data: str
    """The data's name."""
    lines: tuple[Line, ...]
    """The scores."""
    not_asked: tuple[NotAsked, ...] = ()
    """What is not there, and why."""

    @property
    def pass_at(self) -> Sequence[int]:
        """Each k of pass@k that a line has."""
        return sorted({k for line in self.lines for k in line.measured.pass_at})


@dataclass(frozen=True)
class Table:
    """All of it."""

    title: str
    """Above it."""
    parts: tuple[Part, ...]
    """By data."""
    is_whole: bool = True
    """Whether all was asked that can be asked."""

    def to_json(self) -> dict[str, object]:
        """Return it as `--json` prints it."""
        return {
            "title": self.title,
            "partial": not self.is_whole,
            "lines": [
                {
                    "data": part.data,
                    "model": line.model,
                    "way": line.way,
                    "blocks": line.blocks,
                    **line.score.to_json(),
                    **line.measured.to_json(),
                }
                for part in self.parts
                for line in part.lines
            ],
            "not_asked": [
                {"data": part.data, "model": one.model, "way": one.way, "reason": one.reason}
                for part in self.parts
                for one in part.not_asked
            ],
        }
