"""A run beside another one: who is right, McNemar's test, and the questions that are answered differently."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rim_edge.cli.show.evaluation import p_words
from rim_edge.cli.show.numbers import count, interval, tenths
from rim_edge.cli.show.report.markup import paragraph, row, safe, section, table
from rim_edge.cli.show.report.questions import TAGS, Run, listed
from rim_edge.evaluation.scores import Score

if TYPE_CHECKING:
    from rim_edge.cli.show.evaluation import Scored
    from rim_edge.evaluation.report.against import Comparison


def changes(scored: Scored) -> str:
    """Return the section of the comparison; empty where there is none."""
    found = scored.against
    if found is None:
        return ""
    right_here = found.right_there + found.gained - found.lost
    here, there = Score(right_here, found.n), Score(found.right_there, found.n)
    both = found.right_there - found.lost
    rows = [
        row("here: this run", tenths(here.accuracy), interval(here.interval), f"{here.right:,} of {here.n:,}"),
        row(
            f"there: {safe(found.other)}",
            tenths(there.accuracy),
            interval(there.interval),
            f"{there.right:,} of {there.n:,}",
        ),
    ]
    counts = (
        f"Right in both {both:,}, here alone {found.gained:,}, there alone {found.lost:,}, in neither "
        f"{found.n - both - found.gained - found.lost:,}."
    )
    return section(
        "changes",
        "Against another run",
        table("Right answers of both runs", ("", "right", "95 %", "n"), rows, "scores"),
        paragraph(counts),
        paragraph(_test(found)),
        _changed(found),
    )


def _test(found: Comparison) -> str:
    shown = f"{100 * found.difference:+.1f} points"
    if found.interval is not None:
        low, high = found.interval
        shown += f", 95 % {100 * low:+.1f} to {100 * high:+.1f} (Tango)"
    said = "the two are told apart" if found.p < 0.05 else "these questions do not tell the two apart"
    return f"Difference {shown}; McNemar's exact p {p_words(found)}: {said}."


def _changed(found: Comparison) -> str:
    if not found.changed:
        return paragraph("Every question is answered alike.")
    ordered = sorted(found.changed, key=lambda one: (-1, 1, 0).index(one.gain))
    questions = [(one.row, {Run.THERE: one.there, Run.HERE: one.here}) for one in ordered]
    words = f"{count(len(ordered), 'question')} of {found.n:,} answered differently"
    return (
        f"<h3>{words}</h3>\n"
        + paragraph(
            "What was lost comes first, then what was gained. Open one for its whole text and probabilities.",
            "faint",
        )
        + listed(questions, [TAGS[one.gain] for one in ordered])
    )
