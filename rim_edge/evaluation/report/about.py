"""What an evaluation was of: model, manner, file, release and day. Saved rows carry it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from rim_edge.evaluation.asking import LeftOut
from rim_edge.evaluation.reading import Kind, Subject
from rim_edge.evaluation.report.saved_fields import COUNT, FLAG, NUMBER, OBJECT, OBJECTS, TEXT, only, read, read_or
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
        return cls(
            subject=_subject(read(body, "scored", OBJECT)),
            manner=_manner(read(body, "asked", OBJECT)),
            file=read(body, "file", TEXT),
            file_sha256=read(body, "file_sha256", TEXT),
            rows=read(body, "rows", COUNT),
            left_out=tuple(map(_left_out, read(body, "left_out", OBJECTS))),
            version=read(body, "rim_edge", TEXT),
            day=read(body, "day", TEXT),
            drawn_by=read_or(body, "drawn_by", COUNT.or_null(), None),
        )


def _subject(body: Mapping[str, Any]) -> Subject:
    names = ("name", "path", "sha256", "engine", "precision")
    only(body, "kind", *names)
    return Subject(Kind(body["kind"]), **{name: read(body, name, TEXT) for name in names})


def _manner(body: Mapping[str, Any]) -> Manner:
    only(body, *(field.name for field in fields(Manner)))
    way, draws = body["way"], read(body, "draws", OBJECT.or_null())
    return Manner(
        way=None if way is None else Way(way),
        max_tokens=read(body, "max_tokens", COUNT.or_null()),
        instruction=read(body, "instruction", TEXT),
        one_by_one=read(body, "one_by_one", FLAG),
        draws=None if draws is None else _draws(draws),
        permute=read_or(body, "permute", FLAG, False),
    )


def _draws(body: Mapping[str, Any]) -> Draws:
    only(body, *(field.name for field in fields(Draws)))
    counts = {name: read(body, name, COUNT) for name in ("samples", "seed")}
    return Draws(**counts, **{name: read(body, name, NUMBER) for name in ("temperature", "top_p")})


def _left_out(body: Mapping[str, Any]) -> LeftOut:
    only(body, *(field.name for field in fields(LeftOut)))
    return LeftOut(read(body, "reason", TEXT), read(body, "count", COUNT), read(body, "first", TEXT))
