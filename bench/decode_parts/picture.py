"""The picture of a result: `picture.py RESULT.json TARGET.svg|png`. Needs matplotlib.

Horizontal bars of tokens a second, a panel a model, ours in blue; a line where the memory's speed ends a bar.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

TEXT, OURS, THEIRS, BOUND = "#7d8590", "#2f81f7", "#8b949e", "#d29922"


def bars(model: Mapping[str, Any]) -> list[tuple[str, float, float | None, bool]]:
    """Return (name, tokens a second, its bound, ours), fastest first; as the first group measured it."""
    found: dict[str, tuple[float, float | None, bool]] = {}
    for group in model["groups"].values():
        speed = group.get("gigabytes_a_second")
        for name, row in group["rows"].items():
            read = row["bytes_a_token"]
            bound = speed * 1e9 / read if speed and read else None
            found.setdefault(name, (row["tokens_a_second"], bound, row["ours"]))
    return sorted(((name, *entry) for name, entry in found.items()), key=lambda bar: -bar[1])


def draw(result: Mapping[str, Any], target: Path) -> None:
    """Draw all models into one file."""
    colors = dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor"), TEXT)
    plt.rcParams.update({**colors, "font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "rim-edge"})
    panels = {name: found for name, model in result["models"].items() if (found := bars(model))}
    sizes = [len(found) for found in panels.values()]
    figure, axes = plt.subplots(
        len(panels), 1, figsize=(8, 0.7 * len(panels) + 0.25 * sum(sizes)), height_ratios=sizes, squeeze=False
    )
    for axis, (name, found) in zip(axes[:, 0], panels.items(), strict=True):
        _panel(axis, name, found)
    axes[-1, 0].set_xlabel("tokens a second, one text; line: what memory allows", loc="left")
    figure.tight_layout()
    figure.savefig(target, transparent=True, metadata={"Date": None} if target.suffix == ".svg" else None, dpi=110)


def _panel(axis: Any, title: str, found: list[tuple[str, float, float | None, bool]]) -> None:
    names, speeds, bounds, ours = zip(*found, strict=True)
    drawn = axis.barh(range(len(found)), speeds, color=[OURS if mine else THEIRS for mine in ours], height=0.72)
    axis.bar_label(drawn, labels=[f"{speed:.1f}" for speed in speeds], padding=3, color=TEXT, fontsize=8)
    for number, bound in enumerate(bounds):
        if bound is not None:
            axis.plot([bound, bound], [number - 0.4, number + 0.4], color=BOUND, linewidth=1.2)
    axis.set_yticks(range(len(found)), names)
    axis.invert_yaxis()
    axis.set_xlim(0, 1.12 * max([*speeds, *(bound for bound in bounds if bound is not None)]))
    axis.set_title(title, loc="left", fontsize=10, fontweight="bold", color=TEXT)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
