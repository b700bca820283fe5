"""What an evaluation was of: model, manner, file, release and day. Saved rows carry it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rim_edge.evaluation.asking import LeftOut
from rim_edge.evaluation.reading import Kind, Subject
from rim_edge.evaluation.way import Draws, Manner, Way


@dataclass(frozen=True)
class About:
    """An evaluation, without its answers."""

    subject: Subject
    """What was scored."""
    manner: Manner
    """How it was asked."""
    file: str
    """Name of the rows' file."""
    file_sha256: str
    """Of the file."""
    rows: int
    """Good rows that were to be scored, left-out ones included."""
    left_out: tuple[LeftOut, ...]
    """Those that could not be asked."""
    version: str
    """The release of rim-edge that asked."""
    day: str
    """The day of the answers, as in 2026-11-29."""
    drawn_by: int | None = None
    """The seed that drew the rows from the file; None: all, or the first."""

    def to_json(self) -> dict[str, Any]:
        """Return it as a saved row has it, in the words of `eval --json`."""
        return {
            "file": self.file,
            "file_sha256": self.file_sha256,
            "rows": self.rows,
            "left_out": [asdict(one) for one in self.left_out],
            "scored": asdict(self.subject),
            "asked": asdict(self.manner),
            "rim_edge": self.version,
            "day": self.day,
            "drawn_by": self.drawn_by,
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> About:
        """Read it back. Raises ValueError, KeyError and TypeError for anything else."""
        scored, asked = dict(body["scored"]), dict(body["asked"])
        way, draws = asked.pop("way"), asked.pop("draws")
        return cls(
            subject=Subject(Kind(scored.pop("kind")), **scored),
            manner=Manner(
                None if way is None else Way(way), draws=None if draws is None else Draws(**draws), **asked
            ),
            file=str(body["file"]),
            file_sha256=str(body["file_sha256"]),
            rows=int(body["rows"]),
            left_out=tuple(LeftOut(**one) for one in body["left_out"]),
            version=str(body["rim_edge"]),
            day=str(body["day"]),
            drawn_by=body.get("drawn_by"),
        )
