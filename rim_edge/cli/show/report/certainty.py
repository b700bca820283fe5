"""Whether probabilities mean something: the reliability diagram, and the wrong answers that were the surest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rim_edge.cli.show.numbers import count, interval, tenths
from rim_edge.cli.show.pictures.calibration import DIAGRAM, axes, curve
from rim_edge.cli.show.report.markup import paragraph, row, section, table
from rim_edge.cli.show.report.questions import Run, listed

if TYPE_CHECKING:
    from rim_edge.cli.show.evaluation import Scored
    from rim_edge.evaluation.calibrating import Reliability

_SHOWN = 12
"""The surest wrong answers."""


def certainty(scored: Scored) -> str:
    """Return the section of the calibration; empty where no letter was read."""
    found, confidence = scored.breakdown.reliability, scored.breakdown.confidence
    if found is None or confidence is None:
        return ""
    accuracy = sum(one.accuracy * one.count for one in found.bins) / sum(one.count for one in found.bins)
    way = "too sure" if confidence > accuracy else "not sure enough"
    words = (
        f"On average it gives its letter {tenths(confidence)} and is right in {tenths(accuracy)}: by "
        f"{100 * abs(confidence - accuracy):.1f} points {way}. Expected calibration error {tenths(found.error)}, "
        f"95 % interval {interval(found.interval)}. Probabilities are the model's own, not calibrated; "
        "rim-edge calibrate fits them."
    )
    return section(
        "certainty",
        "How sure it is",
        paragraph(words),
        f'<div class="sides"><figure>{_diagram(found)}<figcaption>How often answers are right, by what was said '
        f"of them: {len(found.bins)} parts of equal size, with Wilson's intervals. On the dashed line the two "
        f"agree.</figcaption></figure>\n<div>{_bins(found)}</div></div>\n",
    )


def _diagram(found: Reliability) -> str:
    return (
        f'<svg viewBox="{DIAGRAM}" role="img" aria-label="Reliability diagram" style="max-width:28rem">'
        f"{''.join(axes())}{''.join(curve(found.bins, 'said'))}</svg>"
    )


def _bins(found: Reliability) -> str:
    rows = [
        row(tenths(one.confidence), tenths(one.accuracy), interval(one.score.interval), f"{one.count:,}")
        for one in found.bins
    ]
    return table("Right answers by what was said", ("said", "right", "95 %", "n"), rows)


def surest_wrong(scored: Scored) -> str:
    """Return the section of the wrong answers that were the surest; empty where there are none."""
    wrong = scored.breakdown.surest_wrong
    if not wrong:
        return ""
    return section(
        "wrong",
        "Wrong, and sure of it",
        paragraph(
            f"The {min(_SHOWN, len(wrong))} surest of {count(len(wrong), 'wrong answer')}. Such questions are "
            "worth reading: either the model is wrong, or the file is. Each opens.",
            "faint",
        ),
        listed(
            [(row_, {Run.HERE: given}) for row_, given in wrong[:_SHOWN]],
            [row_.subject or row_.place for row_, _ in wrong[:_SHOWN]],
        ),
    )
