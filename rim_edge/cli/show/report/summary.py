"""The page's head: what was scored, how well it did, and what that shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rim_edge.cli.show.numbers import count, interval, tenths
from rim_edge.cli.show.report.markup import safe

if TYPE_CHECKING:
    from rim_edge.cli.show.evaluation import Scored
    from rim_edge.evaluation.scores import Score


def head(scored: Scored, title: str) -> str:
    """Return the head of the page."""
    score = last_score(scored)
    words, kind = verdict(score, scored.report.majority, scored.chance)
    stopped = "Partial: it was stopped, and what was asked is a random part of the rows."
    partial = "" if scored.is_whole else f'<p class="verdict bad">{stopped}</p>\n'
    return (
        f"<h1>{safe(title)}</h1>\n"
        f'<p class="lead"><b>{tenths(score.accuracy)}</b> right, 95 % interval {interval(score.interval)}, '
        f"{safe(_asked(scored))}</p>\n{partial}"
        f'<p class="verdict {kind}">{safe(words)}</p>\n'
    )


def last_score(scored: Scored) -> Score:
    """Return the score with the most blocks."""
    by_blocks = scored.report.by_blocks
    return by_blocks[max(by_blocks)]


def verdict(score: Score, usual: Score, chance: float | None) -> tuple[str, str]:
    """Return what a score shows beside its baselines, and whether that is good or bad."""
    low, high = score.interval
    most = f"always giving the most frequent right answer ({tenths(usual.accuracy)})"
    if chance is None:
        shown, kind = ("Better", "good") if low > usual.accuracy else ("Not shown to be better", "bad")
        return f"{shown} than {most}.", kind
    guess = f"a blind guess ({tenths(chance)})"
    if high < chance:
        return f"Worse than {guess}: the whole interval lies below it.", "bad"
    if low <= chance:
        return f"Not told apart from {guess}: the interval holds it.", "bad"
    if low <= usual.accuracy:
        return f"Better than {guess}, and not shown to be better than {most}.", ""
    return f"Better than {guess} and than {most}: the whole interval lies above both.", "good"


def _asked(scored: Scored) -> str:
    blocks, way = max(scored.report.by_blocks), scored.about.manner.way
    if way is not None and not way.has_blocks:
        how = f", asked as {way}"
    else:
        how = f" with {count(blocks, 'memory block')}" if blocks else " without memory blocks"
    return f"{count(scored.report.majority.n, 'question')}{how}"


def facts(scored: Scored) -> str:
    """Return what was scored, on what, when."""
    about, subject = scored.about, scored.about.subject
    manner = about.manner
    listed = {
        str(subject.kind): f"{safe(subject.name)} <code>{safe(subject.sha256[:16])}…</code>",
        "ran": f"{safe(subject.precision)} on {safe(subject.engine)}",
        "asked": safe(_manner(scored)),
        "file": f"{safe(about.file)} <code>{safe(about.file_sha256[:16])}…</code>",
        "rows": safe(f"{len(scored.asked.readings):,} of {count(about.rows, 'row')}"),
        "left out": "<br>".join(safe(one) for one in about.left_out),
        "instruction": safe(manner.instruction),
        "day": safe(about.day),
    }
    return (
        "<dl>" + "".join(f"<dt>{name}</dt><dd>{text}</dd>\n" for name, text in listed.items() if text) + "</dl>\n"
    )


def _manner(scored: Scored) -> str:
    manner = scored.about.manner
    parts = [f"as {manner.way}" if manner.way else "for a letter where a row has some, else for an open answer"]
    parts += ["each option in every place (--permute)"] if manner.permute else []
    parts += ["one by one"] if manner.one_by_one else []
    return ", ".join(parts)
