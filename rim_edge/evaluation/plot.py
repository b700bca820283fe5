"""The picture of a run: accuracy against memory blocks, one line per stage with its 95 % Wilson band.

Transparent background, colours that read on white and on black, no time stamp: the same scores give the same file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rim_edge.evaluation.scores import RunScores, Score

_TEXT = "#7d8590"
_STAGES = ("#d29922", "#2f81f7", "#3fb950", "#db61a2")
_MARKERS = ("s", "o", "^", "D")


def draw_accuracy(scores: RunScores, target: Path) -> None:
    """Write the picture as SVG, or as PNG if the target ends in .png."""
    import matplotlib as mpl
    from matplotlib.figure import Figure  # without pyplot: no display, nothing global

    style = {"font.size": 10, "svg.fonttype": "none", "svg.hashsalt": "rim-edge", "text.color": _TEXT}
    with mpl.rc_context(style):
        figure = Figure(figsize=(6.4, 3.8), layout="constrained")
        axis = figure.subplots()
        for place, stage in enumerate(scores.stages):
            _line(axis, f"after {stage.stage}", stage.by_blocks, place)
        _baseline(axis, scores.majority)
        _frame(axis, scores)
        metadata = {"Date": None} if target.suffix == ".svg" else None
        figure.savefig(target, transparent=True, metadata=metadata, dpi=150)


def _line(axis: Any, label: str, by_blocks: tuple[Score, ...], place: int) -> None:
    color, marker = _STAGES[place % len(_STAGES)], _MARKERS[place % len(_MARKERS)]
    blocks = range(len(by_blocks))
    low, high = zip(*(score.interval for score in by_blocks), strict=True)
    axis.fill_between(blocks, _percent(low), _percent(high), color=color, alpha=0.22, linewidth=0)
    shares = _percent([score.accuracy for score in by_blocks])
    axis.plot(blocks, shares, color=color, marker=marker, markersize=5, linewidth=1.8, label=label)


def _baseline(axis: Any, majority: Score) -> None:
    label = f"most frequent answer, {100 * majority.accuracy:.1f} %"
    axis.axhline(100 * majority.accuracy, color=_TEXT, linewidth=1.2, linestyle="--", label=label)


def _frame(axis: Any, scores: RunScores) -> None:
    most = max(len(stage.by_blocks) for stage in scores.stages) - 1
    axis.set_xticks(range(most + 1))
    axis.set_xlim(-0.15, most + 0.15)
    axis.set_ylim(0, 102)
    axis.set_xlabel("memory blocks")
    axis.set_ylabel("right, %")
    axis.set_title(f"{scores.majority.n:,} questions, {scores.name}; 95 % Wilson bands", loc="left", fontsize=10)
    axis.tick_params(colors=_TEXT)
    axis.xaxis.label.set_color(_TEXT)
    axis.yaxis.label.set_color(_TEXT)
    axis.grid(axis="y", color=_TEXT, alpha=0.25, linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(_TEXT)
    axis.legend(frameon=False, fontsize=9, loc="best")


def _percent(shares: Any) -> list[float]:
    return [100 * share for share in shares]
