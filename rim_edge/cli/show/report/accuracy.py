"""How many answers are right: by the number of memory blocks, and by subject."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rim_edge.cli.show.evaluation import asked_with, blocks_words, difference_words, measured_words
from rim_edge.cli.show.numbers import count, interval, tenths
from rim_edge.cli.show.report.markup import paragraph, row, safe, section, table
from rim_edge.cli.show.report.pictures import Baselines, blocks_chart, key, strip

if TYPE_CHECKING:
    from rim_edge.cli.show.evaluation import Scored
    from rim_edge.evaluation.scores import Report, Score

_HEADS = ("", "right", "95 %", "n", "0 to 100 %")


def accuracy(scored: Scored) -> str:
    """Return the section of the scores by blocks; letters and open answers apart where there are both."""
    report = scored.report
    if report.letters is None or report.open is None:
        parts = [_scores(scored, report, scored.chance)]
    else:
        parts = [
            f"<h3>{count(report.letters.majority.n, 'question')} with letters</h3>",
            _scores(scored, report.letters, scored.breakdown.chance),
            f"<h3>{report.open.majority.n:,} open</h3>",
            _scores(scored, report.open, None),
        ]
    return section("accuracy", "Right answers", *parts, _against_fewest(scored), _measured(scored))


def _against_fewest(scored: Scored) -> str:
    found = scored.fewest_blocks
    if found is None:
        return ""
    most = count(max(scored.report.by_blocks), "block")
    return paragraph(f"{most} against {found.other}: {blocks_words(found, most)}; {difference_words(found)}.")


def _scores(scored: Scored, report: Report, chance: float | None) -> str:
    beside = Baselines(chance, report.majority.accuracy)
    last = max(report.by_blocks)
    rows = [
        _row(safe(asked_with(scored, blocks)), score, beside, "strong" if blocks == last else "")
        for blocks, score in report.by_blocks.items()
    ]
    controls = {
        "another question's blocks": report.shuffled,
        **{f"another question's block {block} alone": one for block, one in (report.exchanged or {}).items()},
        "written steps": report.chain,
        "any block, chosen by an oracle": report.any_block,
    }
    rows += [_row(safe(name), score, beside, "dim") for name, score in controls.items() if score is not None]
    picture = blocks_chart(report.by_blocks, beside) if len(report.by_blocks) > 1 else ""
    figure = f"<figure>{picture}<figcaption>{legend(beside)}</figcaption></figure>\n"
    return figure + table("Right answers by memory blocks", _HEADS, rows, "scores")


def legend(beside: Baselines) -> str:
    """Return what the lines of drawings are."""
    guess = "" if beside.guess is None else f"{key('guess')}a blind guess, {tenths(beside.guess)} &nbsp; "
    return f"{guess}{key('usual')}always the most frequent right answer, {tenths(beside.usual)}"


def _row(name: str, score: Score, beside: Baselines, kind: str = "") -> str:
    shown = (
        tenths(score.accuracy),
        interval(score.interval),
        f"{score.right:,} of {score.n:,}",
        strip(score, beside),
    )
    return row(name, *shown, kind=kind)


def _measured(scored: Scored) -> str:
    lines = {blocks: measured_words(measured) for blocks, measured in scored.measured.items()}
    return "".join(
        paragraph(f"{asked_with(scored, blocks)}: {' · '.join(words)}", "faint")
        for blocks, words in lines.items()
        if words
    )


def subjects(scored: Scored) -> str:
    """Return the section of the scores by subject; empty where the rows name none."""
    found = scored.breakdown.subjects
    if not found:
        return ""
    beside = Baselines(scored.chance, scored.report.majority.accuracy)
    rows = [_row(safe(name or "(none named)"), score, beside) for name, score in found.items()]
    by_chance = f" Of {len(found):,} intervals at 95 %, {len(found) / 20:.1f} miss their true value by chance."
    return section(
        "subjects",
        "By subject",
        paragraph(f"With the most blocks, the best first.{by_chance if len(found) > 1 else ''}", "faint"),
        table("Right answers by subject", _HEADS, rows, "scores"),
        f'<p class="faint">{legend(beside)}</p>\n',
    )
