"""Intervals against published limits, against sums over all outcomes, and against the coverage they promise."""

from __future__ import annotations

from math import comb

import pytest
from rim_export.certification.intervals import paired_difference_interval, share_interval


@pytest.mark.parametrize(
    ("hits", "n", "expected"),
    [  # of the published tables of Clopper and Pearson's limits, 95 %
        (0, 10, (0.0, 0.3085)),
        (1, 10, (0.0025, 0.4450)),
        (5, 10, (0.1871, 0.8129)),
        (0, 1000, (0.0, 0.0037)),
    ],
)
def test_share_intervals(hits: int, n: int, expected: tuple[float, float]) -> None:
    assert share_interval(hits, n) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("gained", "lost", "n", "expected"),
    [
        # None of n: the limit solves (1 - p)^n = 0.0125.
        (0, 0, 64, (-0.0662, 0.0662)),
        (0, 0, 1000, (-0.0044, 0.0044)),
        (10, 0, 10, (1 - 0.3548 - 0.3548, 1.0)),  # all of n: p^n = 0.0125, so p = 0.6452
        # One of n: (1 - p)^10 = 0.9875, and (1 - p)^10 + 10 p (1 - p)^9 = 0.0125.
        (0, 1, 10, (-0.4906, 0.3548 - 0.0013)),
        (1, 1, 10, (0.0013 - 0.4906, 0.4906 - 0.0013)),
    ],
)
def test_paired_difference_by_hand(gained: int, lost: int, n: int, expected: tuple[float, float]) -> None:
    assert paired_difference_interval(gained, lost, n) == pytest.approx(expected, abs=1e-4)


def chance(gained: int, lost: int, n: int, gain: float, loss: float) -> float:
    """Return the probability of these counts: gains, losses, and all other questions."""
    ways = comb(n, gained) * comb(n - gained, lost)
    return ways * gain**gained * loss**lost * (1 - gain - loss) ** (n - gained - lost)


@pytest.mark.parametrize(("gain", "loss"), [(0, 0.01), (0, 0.05), (0.05, 0.05), (0.02, 0.2), (0.5, 0.3), (0, 0)])
def test_the_true_difference_is_inside_at_least_95_times_in_100(gain: float, loss: float) -> None:
    """Summed over all outcomes; an interval that takes the counted differences as certain falls far below."""
    n, covered = 12, 0.0
    for gained in range(n + 1):
        for lost in range(n + 1 - gained):
            if (likely := chance(gained, lost, n, gain, loss)) > 1e-9:
                low, high = paired_difference_interval(gained, lost, n)
                covered += likely * (low <= gain - loss <= high)
    assert covered >= 0.95
