"""The plot of a result: `plot.py RESULT.json TARGET.svg|png`, in an environment that has matplotlib.

Horizontal bars, a panel a prompt length, ours in colour, one bar a row at its median; a line marks what the
measured int8 products of a model would take alone. Transparent background, colours that read on white and black.
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

TEXT = "#7d8590"
OURS, HEADLINE, THEIRS, BOUND = "#7aa7f0", "#2f81f7", "#8b949e", "#d29922"
WHOLE_PARTS = ("card", "llama_cpp", "onnx", "fp8")
YARDSTICK = "rim-edge int8 ort-cpu"
LABELS = {
    "transformers bf16, snippet": "model card's snippet",
    "transformers bf16, forward": "transformers bf16, one pass",
}


def bars(result: Mapping[str, Any], length: str) -> list[tuple[str, float, bool]]:
    """Return (label, median seconds, ours) of every row of the whole model, fastest first.

    A row that stands in several groups is drawn as the first of them measured it.
    """
    found: dict[str, tuple[float, bool]] = {}
    for part in WHOLE_PARTS:
        for name, row in result["parts"].get(part, {}).get("rows", {}).items():
            for ask, lengths in row["times"].items():
                label = name if ask == "ask" else f"{name}, {ask}"
                found.setdefault(LABELS.get(label, label), (lengths[length]["p50_s"], row["ours"]))
    return sorted(((label, *entry) for label, entry in found.items()), key=lambda bar: bar[1])


def draw(result: Mapping[str, Any], target: Path) -> None:
    """Draw all lengths into one file."""
    plt.rcParams.update(
        {
            "text.color": TEXT,
            "axes.labelcolor": TEXT,
            "xtick.color": TEXT,
            "ytick.color": TEXT,
            "axes.edgecolor": TEXT,
            "font.size": 9,
            "svg.fonttype": "none",
            "svg.hashsalt": "rim-edge",
        }
    )
    lengths = sorted(result["gemm"]["int8"], key=int)
    panels = [bars(result, length) for length in lengths]
    height = 0.6 * len(lengths) + sum(0.22 * len(panel) for panel in panels)
    figure, axes = plt.subplots(
        len(lengths), 1, figsize=(8, height), height_ratios=[len(panel) for panel in panels], squeeze=False
    )
    for axis, length, panel in zip(axes[:, 0], lengths, panels, strict=True):
        _panel(axis, f"{length} tokens", panel, result["gemm"]["int8"][length]["model_s"])
    axes[-1, 0].set_xlabel("seconds for one answer, median; less is better", loc="left")
    figure.tight_layout()
    figure.savefig(target, transparent=True, metadata={"Date": None} if target.suffix == ".svg" else None, dpi=110)


def _panel(axis: Any, title: str, panel: list[tuple[str, float, bool]], allowed: float) -> None:
    labels, seconds, ours = zip(*panel, strict=True)
    colors = [
        HEADLINE if label == YARDSTICK else OURS if mine else THEIRS
        for label, mine in zip(labels, ours, strict=True)
    ]
    drawn = axis.barh(range(len(panel)), seconds, color=colors, height=0.72)
    axis.bar_label(drawn, labels=[f"{value:.2f} s" for value in seconds], padding=3, color=TEXT, fontsize=8)
    axis.axvline(allowed, color=BOUND, linewidth=1.2, linestyle="--")
    axis.set_title(f"- - int8 products of a model alone: {allowed:.2f} s", loc="right", fontsize=8, color=BOUND)
    axis.set_yticks(range(len(panel)), labels)
    for tick, label in zip(axis.get_yticklabels(), labels, strict=True):
        tick.set_fontweight("bold" if label == YARDSTICK else "normal")
    axis.invert_yaxis()
    axis.set_xlim(0, max(seconds) * 1.12)
    axis.set_title(title, loc="left", fontsize=10, fontweight="bold", color=TEXT)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
