"""A trace as a picture: an SVG in which columns are blocks, rows are answers, and cells are probabilities.

Self-contained, without scripts or fonts of its own; its colours follow the viewer's light or dark scheme.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from rim_edge.cli.show.numbers import milliseconds, percent
from rim_edge.cli.show.trace import changes, readings, summary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rim_runtime.tracing.trace import Trace

_CELL_WIDTH, _WIDEST_CELL, _CELL_HEIGHT, _GAP, _MARGIN = 64, 96, 34, 4, 24
_LINE_HEIGHT, _TITLE_LINES, _HEAD_HEIGHT, _FOOT_HEIGHT = 20, 8, 90, 44
_LETTER, _TITLE_LETTER = 7.6, 9.6
"""Pixels that are left for a letter: the widest of the usual fonts take so many, on average."""
_LONGEST_LABEL, _LEAST_WIDTH = 34, 600
_LEAST_SHOWN = 0.005
_STYLE = """
  .back { fill: #ffffff } .text { fill: #1f2328 } .dim { fill: #656d76 }
  .cell { fill: #afb8c1 } .chosen { fill: #1a7f37 } .other { fill: #bc4c00 } .on { fill: #ffffff }
  .frame { fill: none; stroke: #d0d7de } .change { stroke: #bc4c00; stroke-dasharray: 3 3 }
  text { font: 13px system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif }
  .title { font-size: 15px; font-weight: 600 } .strong { font-weight: 700 } .small { font-size: 12px }
  @media (prefers-color-scheme: dark) {
    .back { fill: #0d1117 } .text { fill: #e6edf3 } .dim { fill: #8d96a0 }
    .cell { fill: #484f58 } .chosen { fill: #2ea043 } .other { fill: #db6d28 } .on { fill: #ffffff }
    .frame { stroke: #30363d } .change { stroke: #db6d28 }
  }"""


@dataclass(frozen=True)
class _Grid:
    """What is drawn: rows by name, each with a share for every number of blocks."""

    labels: tuple[str, ...]
    shares: tuple[tuple[float | None, ...], ...]
    chosen: tuple[int, ...]
    """The row that was answered behind each number of blocks."""


def picture(trace: Trace, question: str, options: Mapping[str, str]) -> str:
    """Return the picture of a trace.

    `question` is its title; `options` are the question's, empty for an open one.
    """
    grid, shown = _grid(trace, options), readings(trace, options)
    left, columns = _MARGIN + max(60.0, 14 + _LETTER * max(map(len, grid.labels))), len(shown)
    cell = min(_WIDEST_CELL, max(_CELL_WIDTH, (_LEAST_WIDTH - _MARGIN - left) / columns))
    width = max(left + columns * cell + _MARGIN, _LEAST_WIDTH)
    title = _lines(question.strip().partition("\n")[0], int((width - 2 * _MARGIN) / _TITLE_LETTER))
    top = _HEAD_HEIGHT + len(title) * _LINE_HEIGHT
    bottom = top + len(grid.labels) * _CELL_HEIGHT
    height = bottom + _FOOT_HEIGHT
    ran = trace.answers[-1]
    foot = f"{ran.bundle} · {ran.engine} · {ran.precision} · {milliseconds(trace.latency_ms)} · not calibrated"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img">',
        f"<title>{_safe(' '.join(title))}</title><style>{_STYLE}\n</style>",
        f'<rect class="back" width="{width:.0f}" height="{height:.0f}" rx="10"/>',
        *(_text(_MARGIN, 34 + n * _LINE_HEIGHT, line, "title text") for n, line in enumerate(title)),
        _text(_MARGIN, top - 48, f"{shown[-1].answer}: {summary(shown)}", "dim"),
        _text(_MARGIN, top - 12, "blocks", "dim small"),
        *(_text(left + (k + 0.5) * cell, top - 12, str(k), "dim small", "middle") for k in range(columns)),
        *_cells(grid, left, top, cell),
        *(_change(left + k * cell - _GAP / 2, top, bottom) for k in changes(shown)),
        _text(_MARGIN, height - 18, foot, "dim small"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _grid(trace: Trace, options: Mapping[str, str]) -> _Grid:
    shown = readings(trace, options)
    if not options and trace.first_tokens:
        names = list(dict.fromkeys(one.answer for one in shown))
        chosen = tuple(names.index(one.answer) for one in shown)
        shares = tuple(tuple(one.probability if one.answer == name else None for one in shown) for name in names)
        return _Grid(tuple(_cut(name, _LONGEST_LABEL) for name in names), shares, chosen)
    by_block = [answer.probabilities for answer in trace.answers]
    letters = [letter for letter in by_block[0] if options or max(one[letter] for one in by_block) >= _LEAST_SHOWN]
    labels = tuple(_cut(f"{letter}  {options.get(letter, '')}".rstrip(), _LONGEST_LABEL) for letter in letters)
    shares = tuple(tuple(one[letter] for one in by_block) for letter in letters)
    return _Grid(labels, shares, tuple(letters.index(one.answer) for one in shown))


def _cells(grid: _Grid, left: float, top: float, cell: float) -> list[str]:
    parts = []
    for row, (label, shares) in enumerate(zip(grid.labels, grid.shares, strict=True)):
        y = top + row * _CELL_HEIGHT
        last = row == grid.chosen[-1]
        parts.append(_text(_MARGIN, y + 0.5 * _CELL_HEIGHT + 4.5, label, f"text{' strong' if last else ''}"))
        for k, share in enumerate(shares):
            x, is_chosen = left + k * cell, grid.chosen[k] == row
            kind = ("chosen" if last else "other") if is_chosen else "cell"
            box = f'x="{x:.0f}" y="{y:.0f}" width="{cell - _GAP:.0f}" height="{_CELL_HEIGHT - _GAP}" rx="5"'
            if share is not None:
                parts.append(f'<rect class="{kind}" {box} fill-opacity="{_opacity(share, is_chosen):.2f}"/>')
            parts.append(f'<rect class="frame" {box}/>')
            if share is not None and (is_chosen or share >= _LEAST_SHOWN):
                style = "on strong small" if is_chosen else "dim small"
                middle = x + (cell - _GAP) / 2
                parts.append(_text(middle, y + 0.5 * _CELL_HEIGHT + 2.5, percent(share), style, "middle"))
    return parts


def _opacity(share: float, is_chosen: bool) -> float:
    """Return how dense a cell is; an answer stays readable on its colour, however small its share is."""
    if is_chosen:
        return 0.8 + 0.2 * share
    return 0.1 + 0.8 * share if share >= _LEAST_SHOWN else 0.0


def _change(x: float, top: float, bottom: float) -> str:
    return f'<line class="change" x1="{x:.0f}" x2="{x:.0f}" y1="{top - 22:.0f}" y2="{bottom:.0f}"/>'


def _text(x: float, y: float, text: str, style: str, anchor: str = "start") -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{_safe(text)}</text>'


def _safe(text: str) -> str:
    """Return a text as XML takes it: without control characters, which it has no way to write."""
    from rim_runtime.bundle.control_characters import without_control_characters

    return escape(without_control_characters(text))


def _lines(text: str, longest: int) -> list[str]:
    """Return a title in lines of at most so many letters; what is longer than some lines is cut."""
    return wrap(text, longest, max_lines=_TITLE_LINES, placeholder=" …") or [""]


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"
