"""What `rim-edge eval` found: what was scored, on which rows, and the scores with their intervals."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rim_runtime.version import __version__

from rim_edge.cli.output import console
from rim_edge.cli.show.numbers import count, interval, milliseconds, tenths
from rim_edge.cli.show.wrap import print_wrapped

if TYPE_CHECKING:
    from rich.console import Console

    from rim_edge.evaluation.asking import Asked, LeftOut
    from rim_edge.evaluation.measured import Measured
    from rim_edge.evaluation.reading import Subject
    from rim_edge.evaluation.report.against import Comparison
    from rim_edge.evaluation.scores import Report, Score
    from rim_edge.evaluation.way import Manner

_NAMES = 26
"""Cells of the column of names."""


@dataclass(frozen=True)
class Scored:
    """An evaluation, whole or as far as it came."""

    subject: Subject
    """What was scored."""
    manner: Manner
    """How it was asked."""
    file: Path
    """The rows' file."""
    rows: int
    """Good rows that were to be scored, left-out ones included."""
    left_out: tuple[LeftOut, ...]
    """Those that could not be asked."""
    asked: Asked
    """The others, and what was read of them."""
    pass_at: tuple[int, ...] = ()
    """Each k of pass@k."""
    against: Comparison | None = None
    """The comparison with another run."""

    @cached_property
    def report(self) -> Report:
        """The scores."""
        return self.asked.report()

    @cached_property
    def measured(self) -> dict[int, Measured]:
        """What the answers took, by the number of memory blocks."""
        return self.asked.measured(self.pass_at)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file."""
        from rim_runtime.bundle.folder import sha256_file

        return sha256_file(self.file)

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        first = self.asked.first_letters
        return {
            "file": self.file.name,
            "file_sha256": self.sha256,
            "rows": self.rows,
            "left_out": [asdict(left_out) for left_out in self.left_out],
            "partial": not self.asked.is_whole,
            "scored": asdict(self.subject),
            "asked": asdict(self.manner),
            "rim_edge": __version__,
            **self.report.to_json(),
            "measured": {str(blocks): measured.to_json() for blocks, measured in self.measured.items()},
            "position_bias": self.asked.position_bias,
            "first_token_is_letter": None if first is None else first.to_json(),
            "against": None if self.against is None else self.against.to_json(),
        }


def print_scored(scored: Scored) -> None:
    """Print an evaluation for people."""
    from rich.text import Text

    out, subject, asked = console(), scored.subject, scored.asked
    out.print()
    head = f"{subject.kind} {subject.name} ({subject.sha256[:12]}…) · {subject.engine} · {subject.precision}"
    way = f" · as {scored.manner.way}" if scored.manner.way else ""
    print_wrapped(out, Text(f"{head}{way}", "bold"))
    rows = f"{len(asked.readings):,} of {count(scored.rows, 'row')}"
    print_wrapped(out, f"{scored.file.name} (SHA-256 {scored.sha256[:12]}…) · {rows} · rim-edge {__version__}")
    if not asked.is_whole:
        print_wrapped(
            out, Text("partial: it was stopped, and what was asked is a random part of the rows", "yellow")
        )
    out.print()
    report = scored.report
    if report.letters is None or report.open is None:
        _print_scores(out, scored, report, "question")
    else:
        _print_scores(out, scored, report.letters, "question with letters", "questions with letters")
        _print_scores(out, scored, report.open, "open question")
    _print_measured(out, scored)
    _print_positions(out, scored)
    _print_first_letters(out, scored)
    if scored.against is not None:
        _print_comparison(out, scored.against)


def _asked_with(scored: Scored, blocks: int) -> str:
    """Return what the first column says: the number of blocks, or the way where it has none."""
    way = scored.manner.way
    return count(blocks, "block") if way is None or way.has_blocks else str(way)


def _print_scores(out: Console, scored: Scored, report: Report, one: str, many: str | None = None) -> None:
    asked = report.majority.n
    named = f"{asked:,} {many}" if many and asked != 1 else count(asked, one)
    print_wrapped(out, f"{named}, right with 95 % Wilson intervals")
    for blocks, score in report.by_blocks.items():
        print_wrapped(out, _line(_asked_with(scored, blocks), score))
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


def _print_measured(out: Console, scored: Scored) -> None:
    """Print what was measured, where it says something: letters that are read have one token and no text."""
    shown = False
    for blocks, measured in scored.measured.items():
        parts = measured_words(measured)
        if parts:
            print_wrapped(out, f"{_asked_with(scored, blocks):<{_NAMES}}{' · '.join(parts)}")
            shown = True
    if shown:
        out.print()


def measured_words(measured: Measured) -> list[str]:
    """Return what was measured, in words; nothing where letters were read together, with nothing else wanted."""
    parts = [f"pass@{k} {tenths(share)}" for k, share in measured.pass_at.items()]
    if measured.marks:
        found = ", ".join(f"{mark} {number:,}" for mark, number in measured.marks.items())
        parts += [f"{measured.tokens:,.1f} tokens, {measured.cut:,} cut", f"found by {found}"]
    if measured.first_ms is not None and measured.full_ms is not None:
        parts.append(f"first token {milliseconds(measured.first_ms)}, all {milliseconds(measured.full_ms)}")
    return parts


def _print_positions(out: Console, scored: Scored) -> None:
    bias = scored.asked.position_bias
    if bias is None:
        return
    orders = ", each option in every place" if scored.manner.permute else ""
    print_wrapped(
        out,
        f"position bias {tenths(bias)}{orders}: so many answers would have to be another letter for each to be "
        "answered as often as it is right",
    )
    out.print()


def _print_first_letters(out: Console, scored: Scored) -> None:
    first = scored.asked.first_letters
    if first is None:
        return
    others = first.n - first.right
    print_wrapped(
        out,
        f"The first token is no bare letter in {others:,} of {first.n:,} ({tenths(others / first.n)}): there the "
        "letter that is read in one pass and the one of generated text (--readout generate) may differ.",
    )
    out.print()


def _print_comparison(out: Console, found: Comparison) -> None:
    print_wrapped(out, f"against {found.other}, on the same {count(found.n, 'question')}, with the most blocks")
    print_wrapped(
        out, f"right here alone {found.gained:,}, there alone {found.lost:,}; McNemar's exact p {_p(found)}"
    )
    difference = f"difference {100 * found.difference:+.1f} points"
    if found.interval is None:
        print_wrapped(out, f'{difference}; its interval needs: pip install "rim-edge[export]"')
    else:
        low, high = found.interval
        print_wrapped(out, f"{difference}, 95 % {100 * low:+.1f} to {100 * high:+.1f} (Tango)")
    out.print()


def _p(found: Comparison) -> str:
    return f"{found.p:.3f}" if found.p >= 0.001 else f"{found.p:.1e}"
