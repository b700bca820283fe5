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
        (0, 0, 100, (0.0, 0.0)),
        # The tables give 8 of 10 the limits 0.4439 and 0.9748: 10 questions' difference is 2 · share - 1 of them.
        (8, 2, 100, (-0.0112, 0.0950)),
        (2, 8, 100, (-0.0950, 0.0112)),
        (8, 2, 20, (-0.0561, 0.4748)),
        # All on one side: the limit solves p^5 = 0.025, so p = 0.4782.
        (5, 0, 10, (-0.0218, 0.5)),
        (0, 5, 10, (-0.5, 0.0218)),
        (1, 1, 50, (-0.0390, 0.0390)),  # (1 - p)^2 = 0.975, so p = 0.0126
    ],
)
def test_paired_difference_by_hand(gained: int, lost: int, n: int, expected: tuple[float, float]) -> None:
    assert paired_difference_interval(gained, lost, n) == pytest.approx(expected, abs=1e-4)


def chance(gained: int, discordant: int, share: float) -> float:
    """Return the probability of this many gains among the questions on which just one of the two is right."""
    return comb(discordant, gained) * share**gained * (1 - share) ** (discordant - gained)


@pytest.mark.parametrize(("gained", "lost"), [(1, 1), (3, 1), (8, 2), (2, 8), (20, 13)])
def test_at_either_end_what_was_seen_is_an_outcome_of_the_outer_2_5_percent(gained: int, lost: int) -> None:
    n, discordant = 200, gained + lost
    low, high = ((1 + end * n / discordant) / 2 for end in paired_difference_interval(gained, lost, n))
    as_many = sum(chance(count, discordant, low) for count in range(gained, discordant + 1))
    as_few = sum(chance(count, discordant, high) for count in range(gained + 1))
    assert (as_many, as_few) == pytest.approx((0.025, 0.025), abs=1e-9)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.77, 0.99])
@pytest.mark.parametrize("discordant", [1, 6, 25])
def test_the_true_difference_is_inside_at_least_95_times_in_100(share: float, discordant: int) -> None:
    n = 40
    true = (2 * share - 1) * discordant / n
    covered = 0.0
    for gained in range(discordant + 1):
        low, high = paired_difference_interval(gained, discordant - gained, n)
        covered += chance(gained, discordant, share) * (low <= true <= high)
    assert covered >= 0.95
