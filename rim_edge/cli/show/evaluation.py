"""What `rim-edge eval` found: what was scored, on which rows, and the scores with their intervals."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rim_runtime.version import __version__

from rim_edge.cli.output import console
from rim_edge.cli.show.numbers import count, interval, tenths
from rim_edge.cli.show.wrap import print_wrapped

if TYPE_CHECKING:
    from rich.console import Console

    from rim_edge.evaluation.asking import Asked, LeftOut
    from rim_edge.evaluation.reading import Subject
    from rim_edge.evaluation.scores import Report, Score

_NAMES = 26
"""Cells of the column of names."""


@dataclass(frozen=True)
class Scored:
    """An evaluation, whole or as far as it came."""

    subject: Subject
    """What was scored."""
    file: Path
    """The rows' file."""
    rows: int
    """Good rows that were to be scored, left-out ones included."""
    left_out: tuple[LeftOut, ...]
    """Those that could not be asked."""
    asked: Asked
    """The others, and what was read of them."""

    @cached_property
    def report(self) -> Report:
        """The scores."""
        return self.asked.report()

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file."""
        from rim_runtime.bundle.folder import sha256_file

        return sha256_file(self.file)

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "file": self.file.name,
            "file_sha256": self.sha256,
            "rows": self.rows,
            "left_out": [asdict(left_out) for left_out in self.left_out],
            "partial": not self.asked.is_whole,
            "scored": asdict(self.subject),
            "rim_edge": __version__,
            **self.report.to_json(),
        }


def print_scored(scored: Scored) -> None:
    """Print an evaluation for people."""
    from rich.text import Text

    out, subject, asked = console(), scored.subject, scored.asked
    out.print()
    head = f"{subject.kind} {subject.name} ({subject.sha256[:12]}…) · {subject.engine} · {subject.precision}"
    print_wrapped(out, Text(head, "bold"))
    rows = f"{len(asked.readings):,} of {count(scored.rows, 'row')}"
    print_wrapped(out, f"{scored.file.name} (SHA-256 {scored.sha256[:12]}…) · {rows} · rim-edge {__version__}")
    if not asked.is_whole:
        print_wrapped(
            out, Text("partial: it was stopped, and what was asked is a random part of the rows", "yellow")
        )
    out.print()
    report = scored.report
    if report.letters is None or report.open is None:
        _print_scores(out, report, "question")
        return
    _print_scores(out, report.letters, "question with letters", "questions with letters")
    _print_scores(out, report.open, "open question")


def _print_scores(out: Console, report: Report, one: str, many: str | None = None) -> None:
    asked = report.majority.n
    named = f"{asked:,} {many}" if many and asked != 1 else count(asked, one)
    print_wrapped(out, f"{named}, right with 95 % Wilson intervals")
    for blocks, score in report.by_blocks.items():
        print_wrapped(out, _line(count(blocks, "block"), score))
    print_wrapped(out, _line("most frequent answer", report.majority))
    if report.any_block:
        print_wrapped(out, _line("any block", report.any_block) + "   an oracle: nobody can choose like that")
    if report.shuffled:
        print_wrapped(out, _line("another question's blocks", report.shuffled))
    if report.chain:
        print_wrapped(out, _line("written steps", report.chain))
    out.print()


def _line(name: str, score: Score) -> str:
    return f"{name:<{_NAMES}}{tenths(score.accuracy):>8}   {interval(score.interval)}"
