"""Fit how sure letters are, and measure it on questions that were not fitted.

Everything that is reported comes out of two halves: what is fitted on one is measured on the other, and the other
way round. What is kept is fitted on all of them.

Sources: temperature scaling (Guo et al. 2017, arXiv 1706.04599); expected calibration error over bins of equal
size (Nguyen and O'Connor 2015, arXiv 1508.05154); split conformal prediction (arXiv 2107.07511).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rim_runtime.calibration import at_temperature as scaled
from rim_runtime.calibration import likely_letters

from rim_edge.errors import DataError
from rim_edge.evaluation.scores import Score

BINS = 10
"""Of equal size, by confidence."""
LEAST = 40
"""Questions that a calibration needs."""
_LOWEST, _HIGHEST = math.log(0.05), math.log(20.0)
"""Logarithms of the temperatures that are tried."""
_RESAMPLES = 1_000
_LEAST_SHARE = 1e-12
_CONFIDENCES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class Labelled:
    """A question's probabilities, not calibrated, and its right letter."""

    shares: Mapping[str, float]
    right: str


@dataclass(frozen=True)
class Bin:
    """Questions of like confidence."""

    confidence: float
    """Their mean."""
    accuracy: float
    """How many of them are right."""
    count: int

    @property
    def score(self) -> Score:
        """The same as right answers, with their interval."""
        return Score(round(self.accuracy * self.count), self.count)


@dataclass(frozen=True)
class Reliability:
    """How well confidences say how often the answers are right."""

    error: float
    """Expected calibration error: the mean |confidence - accuracy| over the bins, by their size."""
    interval: tuple[float, float]
    """Its 95 % percentile interval over resampled questions."""
    nll: float
    """Mean -log of the right letter's probability."""
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Abstention:
    """What is left of answers when the less sure ones are held back."""

    least: float
    """The confidence from which answers are given."""
    answered: float
    """The share of questions."""
    accuracy: float | None
    """How many of those answers are right; None where none is given."""


@dataclass(frozen=True)
class Calibrated:
    """What was fitted and what it is worth."""

    temperature: float
    """Fitted on all questions."""
    threshold: float
    """Of the sets, likewise."""
    accuracy: float
    """How many answers are right; calibration does not change them."""
    before: Reliability
    after: Reliability
    """On the half that was not fitted."""
    covered: float
    """How often a set held the right letter, on the other half."""
    set_size: float
    """Letters of a set, on average."""
    abstention: tuple[Abstention, ...]


def calibrate(rows: Sequence[Labelled], coverage: float, seed: int = 0) -> Calibrated:
    """Fit and measure. Raises DataError for too few rows."""
    if len(rows) < LEAST:
        raise DataError(
            f"{len(rows)} questions with letters are too few to calibrate on, expected {LEAST} at least."
        )
    order = list(range(len(rows)))
    random.Random(f"rim-edge calibration {seed}").shuffle(order)
    halves = order[::2], order[1::2]
    after: dict[int, Mapping[str, float]] = {}
    sets: dict[int, int] = {}
    covered = 0
    for fitted, measured in (halves, halves[::-1]):
        chosen = [rows[place] for place in fitted]
        temperature = fit_temperature(chosen)
        threshold = set_threshold([at_temperature(one, temperature) for one in chosen], coverage)
        for place in measured:
            one = at_temperature(rows[place], temperature)
            after[place] = one.shares
            letters = likely_letters(one.shares, threshold)
            sets[place] = len(letters)
            covered += one.right in letters
    scaled = [Labelled(after[place], rows[place].right) for place in range(len(rows))]
    whole = fit_temperature(rows)
    return Calibrated(
        temperature=whole,
        threshold=set_threshold([at_temperature(one, whole) for one in rows], coverage),
        accuracy=float(np.mean([_is_right(one) for one in rows])),
        before=reliability(rows, seed),
        after=reliability(scaled, seed),
        covered=covered / len(rows),
        set_size=sum(sets.values()) / len(rows),
        abstention=tuple(_abstention(scaled, least) for least in _CONFIDENCES),
    )


def fit_temperature(rows: Sequence[Labelled]) -> float:
    """Return the temperature with the least -log p of the right letters, from 0.05 to 20."""
    return math.exp(_least(lambda log: _nll([at_temperature(one, math.exp(log)) for one in rows])))


def at_temperature(row: Labelled, temperature: float) -> Labelled:
    """Return a question's probabilities at a temperature."""
    return Labelled(scaled(row.shares, temperature), row.right)


def set_threshold(rows: Sequence[Labelled], coverage: float) -> float:
    """Return the conformal threshold: the ⌈(n + 1) · coverage⌉-th smallest 1 - p of the right letters."""
    scores = sorted(1 - row.shares.get(row.right, 0.0) for row in rows)
    place = math.ceil((len(scores) + 1) * coverage)
    return 1.0 if place > len(scores) else scores[place - 1]


def reliability(rows: Sequence[Labelled], seed: int = 0) -> Reliability:
    """Return the calibration error of rows, its interval and its bins."""
    confidence = np.array([max(row.shares.values()) for row in rows])
    right = np.array([float(_is_right(row)) for row in rows])
    bins = _bins(confidence, right)
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(rows), (_RESAMPLES, len(rows)))
    errors = [_error(_bins(confidence[pick], right[pick])) for pick in picks]
    low, high = np.quantile(errors, [0.025, 0.975]).tolist()
    return Reliability(_error(bins), (low, high), _nll(rows), bins)


def _bins(confidence: NDArray[np.float64], right: NDArray[np.float64]) -> tuple[Bin, ...]:
    order = np.argsort(confidence, kind="stable")
    parts = (part for part in np.array_split(order, BINS) if len(part))
    return tuple(Bin(float(confidence[part].mean()), float(right[part].mean()), len(part)) for part in parts)


def _error(bins: Sequence[Bin]) -> float:
    total = sum(one.count for one in bins)
    return sum(one.count * abs(one.confidence - one.accuracy) for one in bins) / total


def _nll(rows: Sequence[Labelled]) -> float:
    return -float(np.mean([math.log(max(row.shares.get(row.right, 0.0), _LEAST_SHARE)) for row in rows]))


def _is_right(row: Labelled) -> bool:
    return max(row.shares, key=row.shares.__getitem__) == row.right


def _abstention(rows: Sequence[Labelled], least: float) -> Abstention:
    given = [row for row in rows if max(row.shares.values()) >= least]
    accuracy = float(np.mean([_is_right(row) for row in given])) if given else None
    return Abstention(least, len(given) / len(rows), accuracy)


def _least(value: Callable[[float], float]) -> float:
    """Return where a function with one valley is least, by the golden section."""
    low, high, ratio = _LOWEST, _HIGHEST, (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = value(left), value(right)
    for _ in range(40):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = value(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = value(right)
    return (low + high) / 2
