"""A benchmark as a picture: an SVG with a row an engine, how long a cold start, a warm answer and a text take.

Self-contained, without scripts or fonts of its own; its colours follow the viewer's light or dark scheme.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from rim_edge.cli.show.numbers import milliseconds

if TYPE_CHECKING:
    from rim_edge.benchmark.against import Change
    from rim_edge.benchmark.engines import EngineSpeed

_WIDTH, _MARGIN, _TOP, _ROW, _FOOT = 880, 24, 92, 58, 40
_BAR, _NAMES = 16, 136
_STYLE = """
  .back { fill: #ffffff } .text { fill: #1f2328 } .dim { fill: #656d76 } .rule { stroke: #d0d7de }
  .warm { fill: #0969da } .tail { stroke: #0969da; stroke-width: 2 } .then { stroke: #bc4c00; stroke-width: 3 }
  .start { fill: #8c959f } .load { fill: #1a7f37 } .first { fill: #0969da } .pace { fill: #8250df }
  text { font: 13px system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif }
  .title { font-size: 15px; font-weight: 600 } .strong { font-weight: 600 } .small { font-size: 12px }
  @media (prefers-color-scheme: dark) {
    .back { fill: #0d1117 } .text { fill: #e6edf3 } .dim { fill: #8d96a0 } .rule { stroke: #30363d }
    .warm { fill: #4493f8 } .tail { stroke: #4493f8 } .then { stroke: #db6d28 }
    .start { fill: #6e7681 } .load { fill: #2ea043 } .first { fill: #4493f8 } .pace { fill: #a371f7 }
  }"""


@dataclass(frozen=True)
class _Panel:
    """A column of bars, with its own scale."""

    left: float
    width: float
    most: float
    """What the whole width stands for."""

    def at(self, value: float) -> float:
        """Return the place of a value."""
        return self.left + self.width * min(1.0, value / self.most)


def picture(title: str, found: Sequence[EngineSpeed], changes: Sequence[Change] = ()) -> str:
    """Return the picture of a benchmark, at least one engine; `changes` mark what an earlier one measured."""
    height = _TOP + _ROW * len(found) + _FOOT
    shown = escape(title)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<title>{shown}</title><style>{_STYLE}\n</style>",
        f'<rect class="back" width="{_WIDTH}" height="{height}" rx="10"/>',
        _text(_MARGIN, 34, title, "title text"),
        *_rows(found, {(one.engine, one.precision, one.figure): one.then for one in changes}),
        *_legend(height - 18, bool(changes)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _rows(found: Sequence[EngineSpeed], then: Mapping[tuple[str, str, str], float]) -> Iterator[str]:
    writes = any(one.tokens_a_second for one in found)
    lefts, width = _columns(3 if writes else 2)
    cold = _Panel(lefts[0], width, max(one.start_s + one.first_answer_s for one in found))
    earlier = [value for (_, _, figure), value in then.items() if figure == "p50_ms"]
    warm = _Panel(lefts[1], width, max([*earlier, *(one.p99_ms for one in found)]))
    heads = ["cold: to its first answer", "warm answers: p50, to p99"]
    for left, head in zip(lefts, [*heads, "text, tokens a second"][: len(lefts)], strict=True):
        yield _text(left, _TOP - 22, head, "dim small")
    for number, one in enumerate(found):
        y = _TOP + number * _ROW
        yield f'<line class="rule" x1="{_MARGIN}" x2="{_WIDTH - _MARGIN}" y1="{y - 10}" y2="{y - 10}"/>'
        yield _text(_MARGIN, y + 13, one.engine, "text strong")
        yield _text(_MARGIN, y + 31, f"{one.precision}{_memory(one)}", "dim small")
        yield from _cold(cold, y, one)
        yield from _warm(warm, y, one, then.get((one.engine, one.precision, "p50_ms")))
        if writes and one.tokens_a_second:
            most = max(other.tokens_a_second or 0.0 for other in found)
            yield from _pace(_Panel(lefts[2], width, most), y, one)


def _columns(count: int) -> tuple[list[float], float]:
    left, gap = _MARGIN + _NAMES, 28
    width = (_WIDTH - _MARGIN - left - gap * (count - 1)) / count
    return [left + number * (width + gap) for number in range(count)], width


def _cold(panel: _Panel, y: float, one: EngineSpeed) -> Iterator[str]:
    at = 0.0
    for kind, seconds in (("start", one.start_s), ("load", one.load_s), ("first", one.first_ms / 1000)):
        x, end = panel.at(at), panel.at(at + seconds)
        yield f'<rect class="{kind}" x="{x:.1f}" y="{y}" width="{max(0.5, end - x):.1f}" height="{_BAR}"/>'
        at += seconds
    words = f"{at:.2f} s · load {one.load_s:.2f} s · first {milliseconds(one.first_ms)}"
    yield _text(panel.left, y + 31, words, "dim small")


def _warm(panel: _Panel, y: float, one: EngineSpeed, then: float | None) -> Iterator[str]:
    middle, end, slow = y + _BAR / 2, panel.at(one.p50_ms), panel.at(one.p99_ms)
    yield f'<rect class="warm" x="{panel.left}" y="{y}" width="{end - panel.left:.1f}" height="{_BAR}"/>'
    yield f'<line class="tail" x1="{end:.1f}" x2="{slow:.1f}" y1="{middle}" y2="{middle}"/>'
    yield f'<line class="tail" x1="{slow:.1f}" x2="{slow:.1f}" y1="{y + 3}" y2="{y + _BAR - 3}"/>'
    words = f"{milliseconds(one.p50_ms)} · p99 {milliseconds(one.p99_ms)}"
    if then is not None:
        x = panel.at(then)
        yield f'<line class="then" x1="{x:.1f}" x2="{x:.1f}" y1="{y - 4}" y2="{y + _BAR + 4}"/>'
        words += f" · then {milliseconds(then)}"
    yield _text(panel.left, y + 31, words, "dim small")


def _pace(panel: _Panel, y: float, one: EngineSpeed) -> Iterator[str]:
    assert one.tokens_a_second is not None
    end = panel.at(one.tokens_a_second)
    yield f'<rect class="pace" x="{panel.left:.1f}" y="{y}" width="{end - panel.left:.1f}" height="{_BAR}"/>'
    first = "" if one.first_token_ms is None else f" · first token {milliseconds(one.first_token_ms)}"
    yield _text(panel.left, y + 31, f"{one.tokens_a_second:.1f}{first}", "dim small")


def _legend(y: float, has_then: bool) -> Iterator[str]:
    x = _MARGIN + _NAMES
    words = {"start": "process and code", "load": "libraries and bundle", "first": "first answer"}
    for kind, word in words.items():
        yield f'<rect class="{kind}" x="{x}" y="{y - 10}" width="11" height="11"/>'
        yield _text(x + 16, y, word, "dim small")
        x += 34 + 7 * len(word)
    if has_then:
        yield f'<line class="then" x1="{x + 6}" x2="{x + 6}" y1="{y - 11}" y2="{y + 2}"/>'
        yield _text(x + 16, y, "then, the earlier benchmark", "dim small")


def _memory(one: EngineSpeed) -> str:
    return "" if one.peak_gib is None else f" · {one.peak_gib:.2f} GiB"


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
