"""What answers took, and how often one of several is right (pass@k). Needs no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb
from statistics import fmean

from rim_edge.evaluation.items import Item
from rim_edge.evaluation.reading import Given


@dataclass(frozen=True)
class Measured:
    """The answers to some questions with one number of blocks, besides whether they are right."""

    tokens: float
    """Tokens that were written, on average."""
    cut: int
    """Texts that were ended by their limit."""
    marks: Mapping[str, int]
    """Texts by what their answer was found by."""
    first_ms: float | None
    """Milliseconds to the first token, on average; None where questions were not asked one by one."""
    full_ms: float | None
    """Milliseconds to the end, on average."""
    pass_at: Mapping[int, float]
    """By k, the share of questions of which one of k drawn answers is right."""

    def to_json(self) -> dict[str, object]:
        """Return it as `--json` prints it."""
        return {
            "tokens": self.tokens,
            "cut": self.cut,
            "marks": dict(self.marks),
            "first_ms": self.first_ms,
            "full_ms": self.full_ms,
            "pass_at": {str(k): share for k, share in self.pass_at.items()},
        }


def measure(items: Sequence[Item], given: Sequence[Given], pass_at: Sequence[int]) -> Measured:
    """Return what these answers took; `pass_at` lists k."""
    marks = Counter(str(one.mark) for one in given if one.mark is not None)
    return Measured(
        tokens=fmean(one.tokens for one in given),
        cut=sum(one.cut for one in given),
        marks=dict(marks.most_common()),
        first_ms=_mean([one.first_ms for one in given]),
        full_ms=_mean([one.full_ms for one in given]),
        pass_at={k: fmean(map(lambda item, one: passed(one, item.answer, k), items, given)) for k in pass_at},
    )


def passed(given: Given, right: str, k: int) -> float:
    """Return the probability that one of k answers that are drawn is right.

    Exact where letters' probabilities are known; of n samples with c right ones the unbiased estimate
    1 - C(n - c, k) / C(n, k) (Chen et al., arXiv 2107.03374). Expects at least k samples.
    """
    if given.probabilities is not None:
        return 1 - (1 - given.probabilities.get(right, 0.0)) ** k
    n = len(given.samples)
    wrong = sum(sample != right for sample in given.samples)
    return 1 - comb(wrong, k) / comb(n, k)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None
