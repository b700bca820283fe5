"""Drawings of the page: a score on a strip, and accuracy by the number of memory blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rim_edge.evaluation.scores import Score

_LEFT, _TOP, _WIDTH, _HEIGHT = 44, 14, 430, 210
_MOST_TICKS = 12


@dataclass(frozen=True)
class Baselines:
    """What a score is compared with, as shares."""

    guess: float | None
    """A blind guess; None where no question has letters."""
    usual: float
    """Always the most frequent right answer."""


def strip(score: Score, beside: Baselines) -> str:
    """Return a score on a strip from 0 to 100 %, with its interval and the baselines."""
    low, high = (100 * end for end in score.interval)
    return (
        '<svg class="strip" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="back" width="100" height="10"/>'
        f'<rect class="band" x="{low:.2f}" width="{high - low:.2f}" y="1.5" height="7"/>'
        f"{''.join(_upright(kind, share) for kind, share in _lines(beside))}"
        f"{_upright('at', score.accuracy)}</svg>"
    )


def key(kind: str) -> str:
    """Return the sample of a line, for a legend."""
    return (
        '<svg class="key" viewBox="0 0 26 10" aria-hidden="true">'
        f'<line class="{kind}" x1="0" x2="26" y1="5" y2="5"/></svg>'
    )


def blocks_chart(scores: Mapping[int, Score], beside: Baselines) -> str:
    """Return accuracy against memory blocks, each with its interval."""
    title = "How many answers are right with each number of memory blocks"
    right, bottom = _LEFT + _WIDTH, _TOP + _HEIGHT
    parts = [
        f'<svg viewBox="0 0 {right + 16} {bottom + 46}" role="img" aria-label="{title}" style="max-width:38rem">',
        *_grid(),
        *(
            f'<line class="{kind}" x1="{_LEFT}" x2="{right}" y1="{_y(share):.1f}" y2="{_y(share):.1f}"/>'
            for kind, share in _lines(beside)
        ),
        *_curve(scores),
        f'<text x="{_LEFT + _WIDTH / 2}" y="{bottom + 38}" text-anchor="middle">memory blocks</text></svg>',
    ]
    return "".join(parts)


def _curve(scores: Mapping[int, Score]) -> Iterator[str]:
    blocks = sorted(scores)
    places = dict(zip(blocks, _places(len(blocks)), strict=True))
    line = " ".join(f"{places[one]:.1f},{_y(scores[one].accuracy):.1f}" for one in blocks)
    yield f'<polyline class="curve" points="{line}"/>'
    step = -(-len(blocks) // _MOST_TICKS)
    for number, one in enumerate(blocks):
        x, score = places[one], scores[one]
        low, high = map(_y, score.interval)
        yield f'<line class="spread" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'
        yield f'<circle class="dot" cx="{x:.1f}" cy="{_y(score.accuracy):.1f}" r="4"/>'
        if number % step == 0:
            yield f'<text x="{x:.1f}" y="{_TOP + _HEIGHT + 19}" text-anchor="middle">{one}</text>'


def _places(count: int) -> list[float]:
    return [_LEFT + _WIDTH * (number + 0.5) / count for number in range(count)]


def _grid() -> Iterator[str]:
    for tick in range(0, 101, 25):
        y = _y(tick / 100)
        yield f'<line class="grid" x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick} %</text>'


def _y(share: float) -> float:
    return _TOP + (1 - share) * _HEIGHT


def _lines(beside: Baselines) -> list[tuple[str, float]]:
    return [*([] if beside.guess is None else [("guess", beside.guess)]), ("usual", beside.usual)]


def _upright(kind: str, share: float) -> str:
    x = 100 * share
    return f'<line class="{kind}" x1="{x:.2f}" x2="{x:.2f}" y1="0" y2="10"/>'
