"""Confidence intervals for shares and for paired differences, as in a certificate: exact, never too narrow."""

from __future__ import annotations

from scipy.stats import binomtest

CONFIDENCE = 0.95
Interval = tuple[float, float]
"""Lower and upper end."""


def share_interval(hits: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Return the Clopper-Pearson interval of a share of `hits` among `n`."""
    found = binomtest(hits, n).proportion_ci(confidence, method="exact")
    return float(found.low), float(found.high)


def paired_difference_interval(gained: int, lost: int, n: int) -> Interval:
    """Return the 95 % interval of the true difference that (gained - lost) / n estimates, on `n` questions.

    The share of gains and the share of losses each get a Clopper-Pearson interval at 97.5 %. Both hold at once in
    at least 95 % of cases (Bonferroni), and then the difference is between their outermost differences. So no
    gains and no losses among few questions still allow a difference.
    """
    apart = (1 + CONFIDENCE) / 2
    (least_gain, most_gain), (least_loss, most_loss) = (share_interval(hits, n, apart) for hits in (gained, lost))
    return least_gain - most_loss, most_gain - least_loss
