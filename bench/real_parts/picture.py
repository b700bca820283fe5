"""The picture of a result: `picture.py RESULT.json TARGET.svg|png`. Needs matplotlib.

The error on text, logarithmic, against bytes and against time; nearer to the lower left is better.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.transforms import Bbox

TEXT, OURS, THEIRS = "#7d8590", "#2f81f7", "#8b949e"
MARK = 4
"""Half of a point's width, in pixels."""
EXACT = 1e-5
"""Rows with less error are the checkpoint itself but for the order of sums; a logarithm has no place for them."""


def points(result: Mapping[str, Any], across: str) -> list[tuple[str, float, float, bool]]:
    """Return (name, across, KL, ours) of every row that has both; `across` is `bytes` or `time`."""
    found = []
    for name, row in result["rows"].items():
        kl = row.get("text", {}).get("kl", 0.0)
        value = row["bytes"] / 1e6 if across == "bytes" else row.get("time", {}).get("of_fp32")
        if kl > EXACT and value is not None:
            found.append((name.removeprefix("rim-edge "), value, kl, row["ours"]))
    return found


def draw(result: Mapping[str, Any], target: Path) -> None:
    """Draw both panels into one file."""
    colors = dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor"), TEXT)
    plt.rcParams.update({**colors, "font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "rim-edge"})
    figure, axes = plt.subplots(2, 1, figsize=(8, 9))
    panels = (
        ("bytes", "MB of graph and weights that answer a question"),
        ("time", f"time of a prompt of {result['prompt_tokens']} tokens, of our fp32's"),
    )
    for axis, (across, label) in zip(axes, panels, strict=True):
        _panel(axis, points(result, across), label)
    axes[0].set_title(
        "what is lost of the next token's distribution on real text; blue: rim-edge", loc="left", color=TEXT
    )
    figure.tight_layout()
    figure.canvas.draw()  # labels avoid one another, so everything else must be in its place
    for axis, (across, _) in zip(axes, panels, strict=True):
        _label(axis, points(result, across))
    figure.savefig(target, transparent=True, metadata={"Date": None} if target.suffix == ".svg" else None, dpi=110)


def _panel(axis: Any, found: list[tuple[str, float, float, bool]], label: str) -> None:
    axis.set_yscale("log")
    for _, value, kl, ours in found:
        axis.plot(value, kl, "o", color=OURS if ours else THEIRS, markersize=7 if ours else 5)
    axis.set_xlabel(label, loc="left")
    axis.set_ylabel("KL a token, nats")
    axis.grid(visible=True, which="major", color=TEXT, alpha=0.2)
    axis.spines[["top", "right"]].set_visible(False)
    if found:
        values, errors = [point[1] for point in found], [point[2] for point in found]
        axis.set_xlim(min(0.0, min(values)), max(values) * 1.3)
        axis.set_ylim(min(errors) / 1.8, max(errors) * 1.8)


def _label(axis: Any, found: list[tuple[str, float, float, bool]]) -> None:
    """Write each name beside its point: to the right, to the left, or lower where something is in the way."""
    renderer = axis.figure.canvas.get_renderer()
    marks = {name: axis.transData.transform((value, kl)) for name, value, kl, _ in found}
    taken = [Bbox.from_bounds(x - MARK, y - MARK, 2 * MARK, 2 * MARK) for x, y in marks.values()]
    for name, value, kl, ours in sorted(found, key=lambda point: -point[2]):
        text = axis.annotate(
            name,
            (value, kl),
            xytext=(8, -3),
            textcoords="offset points",
            fontsize=8,
            color=OURS if ours else TEXT,
            fontweight="bold" if name == "int8" else "normal",
        )
        for (across, side), step in itertools.product(((8, "left"), (-8, "right")), range(8)):
            text.xyann = (across, -3 - 6 * step)
            text.set_horizontalalignment(side)
            box = text.get_window_extent(renderer)
            if box.x0 > axis.bbox.x0 and not any(box.overlaps(other) for other in taken):
                break
        taken.append(box)


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
