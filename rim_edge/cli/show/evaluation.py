"""What `rim-edge eval` found: what was scored, on which rows, and the scores with their intervals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rim_edge.cli.output import console
from rim_edge.cli.show.numbers import count, interval, milliseconds, tenths
from rim_edge.cli.show.wrap import print_wrapped

if TYPE_CHECKING:
    from rich.console import Console

    from rim_edge.evaluation.asking import Asked
    from rim_edge.evaluation.measured import Measured
    from rim_edge.evaluation.report.about import About
    from rim_edge.evaluation.report.against import Comparison
    from rim_edge.evaluation.report.breakdown import Breakdown
    from rim_edge.evaluation.scores import Report, Score

_NAMES = 26
"""Cells of the column of names."""


@dataclass(frozen=True)
class Scored:
    """An evaluation, whole or as far as it came."""

    about: About
    """What was scored, and how."""
    asked: Asked
    """The rows that could be asked, and what was read of them."""
    pass_at: tuple[int, ...] = ()
    """Each k of pass@k."""
    against: Comparison | None = None
    """The comparison with another run."""
    unasked: int = 0
    """Of a saved run, rows that it was stopped before: they are not in `asked`."""

    @property
    def is_whole(self) -> bool:
        """Whether all rows were asked that can be."""
        return self.asked.is_whole and not self.unasked

    @cached_property
    def report(self) -> Report:
        """The scores."""
        return self.asked.report()

    @cached_property
    def measured(self) -> dict[int, Measured]:
        """What the answers took, by the number of memory blocks."""
        return self.asked.measured(self.pass_at)

    @cached_property
    def fewest_blocks(self) -> Comparison | None:
        """The most blocks against the fewest; None where there was one number of blocks."""
        from rim_edge.evaluation.report.against import compare_blocks

        return compare_blocks(self.asked)

    @cached_property
    def breakdown(self) -> Breakdown:
        """The scores by subject, by letter and by how sure the answers are."""
        from rim_edge.evaluation.report.breakdown import break_down

        return break_down(self.asked)

    @property
    def chance(self) -> float | None:
        """How often a blind guess is right; None where some questions are open, which nobody can guess."""
        return None if self.report.open is not None else self.breakdown.chance

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        first = self.asked.first_letters
        return {
            **self.about.to_json(),
            "partial": not self.is_whole,
            **self.report.to_json(),
            "measured": {str(blocks): measured.to_json() for blocks, measured in self.measured.items()},
            **self.breakdown.to_json(),
            "position_bias": self.asked.position_bias,
            "first_token_is_letter": None if first is None else first.to_json(),
            "fewest_blocks": None if self.fewest_blocks is None else self.fewest_blocks.to_json(),
            "against": None if self.against is None else self.against.to_json(),
        }


def print_scored(scored: Scored) -> None:
    """Print an evaluation for people."""
    from rich.text import Text

    out, about, asked = console(), scored.about, scored.asked
    subject = about.subject
    out.print()
    head = f"{subject.kind} {subject.name} ({subject.sha256[:12]}…) · {subject.engine} · {subject.precision}"
    way = f" · as {scored.about.manner.way}" if scored.about.manner.way else ""
    print_wrapped(out, Text(f"{head}{way}", "bold"))
    rows = f"{len(asked.readings):,} of {count(about.rows, 'row')}"
    print_wrapped(out, f"{about.file} (SHA-256 {about.file_sha256[:12]}…) · {rows} · rim-edge {about.version}")
    if not scored.is_whole:
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
    if scored.fewest_blocks is not None:
        _print_blocks(out, scored.fewest_blocks, count(max(report.by_blocks), "block"))
    _print_measured(out, scored)
    _print_positions(out, scored)
    _print_first_letters(out, scored)
    if scored.against is not None:
        _print_comparison(out, scored.against)


def asked_with(scored: Scored, blocks: int) -> str:
    """Return what the first column says: the number of blocks, or the way where it has none."""
    way = scored.about.manner.way
    return count(blocks, "block") if way is None or way.has_blocks else str(way)


def _print_scores(out: Console, scored: Scored, report: Report, one: str, many: str | None = None) -> None:
    asked = report.majority.n
    named = f"{asked:,} {many}" if many and asked != 1 else count(asked, one)
    print_wrapped(out, f"{named}, right with 95 % Wilson intervals")
    for blocks, score in report.by_blocks.items():
        print_wrapped(out, _line(asked_with(scored, blocks), score))
    print_wrapped(out, _line("most frequent answer", report.majority))
    if scored.breakdown.chance is not None and report is not scored.report.open:
        print_wrapped(out, f"{'a blind guess':<{_NAMES}}{tenths(scored.breakdown.chance):>8}")
    if report.any_block:
        print_wrapped(out, _line("any block", report.any_block) + "   an oracle: nobody can choose like that")
    if report.shuffled:
        print_wrapped(out, _line("another question's blocks", report.shuffled))
    if report.exchanged:
        each = "  ".join(f"{block}: {tenths(score.accuracy)}" for block, score in report.exchanged.items())
        print_wrapped(out, f"{'only one of them, block':<{_NAMES}}{each}")
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
            print_wrapped(out, f"{asked_with(scored, blocks):<{_NAMES}}{' · '.join(parts)}")
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
    orders = ", each option in every place" if scored.about.manner.permute else ""
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
        "letter that is read in one pass and the one of generated text may differ.",
    )
    out.print()


def _print_comparison(out: Console, found: Comparison) -> None:
    print_wrapped(out, f"against {found.other}, on the same {count(found.n, 'question')}, with the most blocks")
    print_wrapped(
        out, f"right here alone {found.gained:,}, there alone {found.lost:,}; McNemar's exact p {p_words(found)}"
    )
    print_wrapped(out, f"answered differently {len(found.changed):,}")
    print_wrapped(out, difference_words(found))
    out.print()


def _print_blocks(out: Console, found: Comparison, most: str) -> None:
    """Print what the most blocks change in comparison with the fewest."""
    print_wrapped(out, f"{most} against {found.other}, on the same {count(found.n, 'question')}")
    print_wrapped(out, blocks_words(found, most))
    print_wrapped(out, difference_words(found))
    out.print()


def blocks_words(found: Comparison, most: str) -> str:
    """Return who is right where, of two numbers of blocks, and the test."""
    alone = f"right with {most} alone {found.gained:,}, with {found.other} alone {found.lost:,}"
    return f"{alone}; McNemar's exact p {p_words(found)}"


def difference_words(found: Comparison) -> str:
    """Return the difference of the accuracies, with its interval where that can be computed."""
    difference = f"difference {100 * found.difference:+.1f} points"
    if found.interval is None:
        return f'{difference}; its interval needs: pip install "rim-edge[export]"'
    low, high = found.interval
    return f"{difference}, 95 % {100 * low:+.1f} to {100 * high:+.1f} (Tango)"


def p_words(found: Comparison) -> str:
    """Return the p of a comparison, with as many digits as say something."""
    return f"{found.p:.3f}" if found.p >= 0.001 else f"{found.p:.1e}"
