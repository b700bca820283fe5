"""A reliability diagram as SVG: what was said against what was right, before and after, one point a bin.

Self-contained, without scripts or fonts of its own; its colours follow the viewer's light or dark scheme.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from rim_edge.cli.show.numbers import tenths

if TYPE_CHECKING:
    from rim_runtime.calibration import Calibration

    from rim_edge.evaluation.calibrating import Bin, Calibrated

_SIDE, _LEFT, _TOP, _WIDTH, _HEIGHT = 360, 64, 76, 640, 510
DIAGRAM = f"0 {_TOP - 12} {_LEFT + _SIDE + 24} {_SIDE + 66}"
"""The view box of axes and curves alone."""
_STYLE = """
  .back { fill: #ffffff } .text { fill: #1f2328 } .dim { fill: #656d76 } .grid { stroke: #d0d7de }
  .ideal { stroke: #656d76; stroke-dasharray: 4 4 }
  .before { fill: none; stroke: #bc4c00 } .after { fill: none; stroke: #0969da }
  .dot-before { fill: #bc4c00 } .dot-after { fill: #0969da }
  .spread-before, .spread-after { stroke-width: 2; opacity: 0.3 }
  .spread-before { stroke: #bc4c00 } .spread-after { stroke: #0969da }
  text { font: 13px system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif }
  .title { font-size: 15px; font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    .back { fill: #0d1117 } .text { fill: #e6edf3 } .dim { fill: #8d96a0 } .grid { stroke: #30363d }
    .ideal { stroke: #8d96a0 } .before { stroke: #db6d28 } .after { stroke: #58a6ff }
    .dot-before { fill: #db6d28 } .dot-after { fill: #58a6ff }
    .spread-before { stroke: #db6d28 } .spread-after { stroke: #58a6ff }
  }"""


def picture(found: Calibrated, kept: Calibration, bundle: str, precision: str) -> str:
    """Return the picture of a calibration."""
    title = escape(f"{bundle} · {precision} · {kept.questions:,} questions of {kept.data}")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        f"<title>{title}</title><style>{_STYLE}\n</style>",
        f'<rect class="back" width="{_WIDTH}" height="{_HEIGHT}" rx="10"/>',
        f'<text class="title text" x="24" y="34">{title}</text>',
        '<text class="dim" x="24" y="56">how often answers are right, by what was said of them</text>',
        *axes(),
        *curve(found.before.bins, "before"),
        *curve(found.after.bins, "after"),
        *_legend(found),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def axes() -> Iterator[str]:
    """Give the grid, its numbers, and the line on which what is said is right."""
    for tick in range(0, 101, 20):
        x, y = _place(tick / 100, tick / 100)
        yield f'<line class="grid" x1="{_LEFT}" x2="{_LEFT + _SIDE}" y1="{y:.0f}" y2="{y:.0f}"/>'
        yield f'<text class="dim" x="{_LEFT - 8}" y="{y + 4:.0f}" text-anchor="end">{tick} %</text>'
        yield f'<text class="dim" x="{x:.0f}" y="{_TOP + _SIDE + 20}" text-anchor="middle">{tick} %</text>'
    (x1, y1), (x2, y2) = _place(0, 0), _place(1, 1)
    yield f'<line class="ideal" x1="{x1:.0f}" y1="{y1:.0f}" x2="{x2:.0f}" y2="{y2:.0f}"/>'
    yield f'<text class="dim" x="{_LEFT + _SIDE / 2:.0f}" y="{_TOP + _SIDE + 44}" text-anchor="middle">said</text>'


def curve(bins: Sequence[Bin], name: str) -> Iterator[str]:
    """Give one point a bin with its 95 % interval, joined by a line; `name` is what their classes end in."""
    for one in bins:
        (x, low), (_, high) = (_place(one.confidence, end) for end in one.score.interval)
        yield f'<line class="spread-{name}" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'
    points = [_place(one.confidence, one.accuracy) for one in bins]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    yield f'<polyline class="{name}" points="{path}" stroke-width="2"/>'
    for x, y in points:
        yield f'<circle class="dot-{name}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'


def _legend(found: Calibrated) -> Iterator[str]:
    left, rows = _LEFT + _SIDE + 24, (("before", found.before), ("after", found.after))
    for place, (name, one) in enumerate(rows):
        y = _TOP + 16 + 62 * place
        low, high = one.interval
        yield f'<circle class="dot-{name}" cx="{left}" cy="{y - 4}" r="5"/>'
        yield f'<text class="text" x="{left + 12}" y="{y}">{name}</text>'
        yield f'<text class="dim" x="{left + 12}" y="{y + 18}">error {tenths(one.error)}</text>'
        yield f'<text class="dim" x="{left + 12}" y="{y + 36}">({tenths(low)} to {tenths(high)})</text>'
    y = _TOP + 150
    yield f'<text class="dim" x="{left}" y="{y}">temperature {found.temperature:.2f}</text>'
    yield f'<text class="dim" x="{left}" y="{y + 20}">right {tenths(found.accuracy)}</text>'


def _place(said: float, right: float) -> tuple[float, float]:
    return _LEFT + said * _SIDE, _TOP + (1 - right) * _SIDE
