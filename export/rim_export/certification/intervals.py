"""Exact confidence intervals for shares and for paired differences, as in a certificate."""

from __future__ import annotations

from scipy.stats import binomtest

CONFIDENCE = 0.95
Interval = tuple[float, float]
"""Lower and upper end."""


def share_interval(hits: int, n: int) -> Interval:
    """Return the 95 % Clopper-Pearson interval of a share of `hits` among `n`."""
    found = binomtest(hits, n).proportion_ci(CONFIDENCE, method="exact")
    return float(found.low), float(found.high)


def paired_difference_interval(gained: int, lost: int, n: int) -> Interval:
    """Return the 95 % interval of (gained - lost) / n, for two answers to each of `n` questions.

    Exact given the number of questions on which just one of the two is right: the share of gains among these is
    binomial (as in McNemar's exact test), and its Clopper-Pearson interval is converted to the difference.
    """
    discordant = gained + lost
    if not discordant:
        return 0.0, 0.0
    low, high = share_interval(gained, discordant)
    return (2 * low - 1) * discordant / n, (2 * high - 1) * discordant / n
