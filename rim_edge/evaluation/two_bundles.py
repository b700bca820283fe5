"""Two bundles asked the same questions: where letters differ, how far probabilities are apart, who is right."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rim_runtime.answer import Answer

_LEAST = 1e-12
NEAR = 0.1
"""Two letters are nearly alike to a bundle if their logits differ by less, as in a certificate."""


@dataclass(frozen=True)
class Different:
    """A question that two bundles answer with different letters."""

    question: str
    """The question, options included."""
    first: str
    """The first bundle's letter."""
    second: str
    """The other's."""
    is_near: bool
    """Whether both letters are nearly alike to the first bundle."""
    right: str | None
    """The right letter; None where the row has none."""


@dataclass(frozen=True)
class TwoBundles:
    """What comes of asking two bundles."""

    questions: int
    """How many were asked."""
    different: tuple[Different, ...]
    """Those that were answered with different letters, in order."""
    mean_kl: float
    """Mean divergence of the second bundle's probabilities from the first's, over the offered letters, in nats."""
    right: tuple[int, int] | None
    """How many each answered right; None where no row has an answer."""
    labelled: int
    """Rows with an answer."""
    p50_ms: tuple[float, float]
    """Half of the answers of each took less: both in batches, one after the other."""

    @property
    def near(self) -> int:
        """Different letters that are near ties."""
        return sum(one.is_near for one in self.different)


def compare_answers(
    questions: Sequence[str], first: Sequence[Answer], second: Sequence[Answer], right: Sequence[str | None]
) -> TwoBundles:
    """Compare two bundles' answers to the same questions, at least one."""
    different = tuple(
        Different(question, one.letter, other.letter, _is_near(one, other.letter), known)
        for question, one, other, known in zip(questions, first, second, right, strict=True)
        if one.letter != other.letter
    )
    labelled = [place for place, known in enumerate(right) if known is not None]
    counts = [sum(answers[place].letter == right[place] for place in labelled) for answers in (first, second)]
    return TwoBundles(
        questions=len(questions),
        different=different,
        mean_kl=statistics.fmean(
            _kl(one.probabilities, other.probabilities) for one, other in zip(first, second, strict=True)
        ),
        right=(counts[0], counts[1]) if labelled else None,
        labelled=len(labelled),
        p50_ms=(_p50(first), _p50(second)),
    )


def _is_near(answer: Answer, letter: str) -> bool:
    return answer.letter_logits[answer.letter] - answer.letter_logits[letter] < NEAR


def _kl(first: Mapping[str, float], second: Mapping[str, float]) -> float:
    pairs = ((share, max(second.get(letter, 0.0), _LEAST)) for letter, share in first.items())
    return sum(share * math.log(share / other) for share, other in pairs if share > 0)


def _p50(answers: Sequence[Answer]) -> float:
    return statistics.median(answer.latency_ms for answer in answers)
