"""Intervals against published limits, the score test they invert, and the coverage they promise."""

from __future__ import annotations

from math import exp, lgamma, log, sqrt

import pytest
from rim_export.certification.intervals import paired_difference_interval, share_interval
from scipy.optimize import minimize_scalar

QUANTILE = 2.108358
"""Of the normal distribution, at 98.25 %."""


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


@pytest.mark.parametrize("n", [12, 64, 1000])
def test_no_difference_seen_still_allows_one(n: int) -> None:
    """Without gains and losses the score equation has a solution in closed form: z² / (n + z²)."""
    limit = QUANTILE**2 / (n + QUANTILE**2)
    assert paired_difference_interval(0, 0, n) == pytest.approx((-limit, limit), abs=1e-6)


def test_every_question_gained_or_lost() -> None:
    gained, lost = paired_difference_interval(10, 0, 10), paired_difference_interval(0, 10, 10)
    assert (gained[1], lost[0]) == (1.0, -1.0)
    assert gained[0] == pytest.approx(-lost[1])


def standard_errors(gained: int, lost: int, n: int, difference: float) -> float:
    """Return the score statistic, with the likeliest share of losses found by trying them out."""

    def unlikely(losses: float) -> float:
        shares = (losses + difference, losses, 1 - 2 * losses - difference)
        counts = (gained, lost, n - gained - lost)
        return -sum(count * log(max(share, 1e-300)) for count, share in zip(counts, shares, strict=True))

    least, most = max(0.0, -difference), (1 - difference) / 2
    losses = minimize_scalar(unlikely, bounds=(least, most), method="bounded", options={"xatol": 1e-10}).x
    return (gained - lost - n * difference) / sqrt(n * (2 * losses + difference * (1 - difference)))


@pytest.mark.parametrize(("gained", "lost", "n"), [(0, 1, 10), (1, 1, 10), (1, 4, 224), (30, 12, 256), (2, 0, 64)])
def test_the_ends_are_where_the_score_test_begins_to_reject(gained: int, lost: int, n: int) -> None:
    low, high = paired_difference_interval(gained, lost, n)
    assert standard_errors(gained, lost, n, low) == pytest.approx(QUANTILE, abs=1e-3)
    assert standard_errors(gained, lost, n, high) == pytest.approx(-QUANTILE, abs=1e-3)


@pytest.mark.parametrize(
    ("n", "gain", "loss"),
    [
        (12, 0.0, 0.0),
        (12, 0.2, 0.2),
        (64, 0.0, 0.01),
        (64, 0.0, 0.02),
        (64, 0.015, 0.1),
        (256, 0.0, 0.02),
        (256, 0.005, 0.02),
        (1000, 0.0, 0.02),
        (1000, 0.005, 0.03),
    ],
)
def test_the_true_difference_is_inside_at_least_95_times_in_100(n: int, gain: float, loss: float) -> None:
    """Summed over all likely outcomes. An interval that takes the counted differences as certain falls to 37 %."""
    covered = 0.0
    for gained in range(most(n, gain) + 1):
        for lost in range(min(most(n, loss), n - gained) + 1):
            if (likely := chance(gained, lost, n, gain, loss)) > 1e-6:
                low, high = paired_difference_interval(gained, lost, n)
                covered += likely * (low <= gain - loss <= high)
    assert covered >= 0.95


def most(n: int, share: float) -> int:
    """Return a count that is hardly ever exceeded."""
    return min(n, int(n * share + 8 * sqrt(n * share)))


def chance(gained: int, lost: int, n: int, gain: float, loss: float) -> float:
    """Return the probability of these counts: gains, losses, and all other questions."""
    counts, shares = (gained, lost, n - gained - lost), (gain, loss, 1 - gain - loss)
    ways = lgamma(n + 1) - sum(lgamma(count + 1) for count in counts)
    return exp(ways + sum(count * log(share) for count, share in zip(counts, shares, strict=True) if count))


def test_it_is_narrower_than_two_clopper_pearson_intervals() -> None:
    for gained, lost, n, at_most in ((0, 0, 64, 1.0), (1, 2, 256, 0.9), (5, 30, 1000, 0.75)):
        low, high = paired_difference_interval(gained, lost, n)
        gains, losses = (share_interval(count, n, 0.975) for count in (gained, lost))
        assert high - low < at_most * (gains[1] - losses[0] - gains[0] + losses[1])
