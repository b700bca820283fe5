"""What a number of questions can show: said where they are few, refused where they cannot pass."""

from __future__ import annotations

from math import ceil, log

from rim_runtime.errors import RowError

from rim_export.certification.attempts import Tolerance
from rim_export.certification.intervals import CONFIDENCE, share_interval


def require_enough(questions: int, tolerance: Tolerance) -> None:
    """Raise RowError if so few questions do not stay below the largest upper end, even without any flip."""
    upper = tolerance.max_flips_upper
    if upper is not None and _without_flips(questions) > upper:
        raise RowError(
            f"The certificate has {questions} questions: even without any flip, the interval reaches "
            f"{_without_flips(questions):.1%}, allowed are {upper:.1%}. Give at least {needed(upper):,} with "
            "--certify, or allow more with --max-flips-upper."
        )


def few_questions_note(questions: int, tolerance: Tolerance) -> str | None:
    """Return what a certificate of so few questions cannot show; None where they suffice."""
    allowed = tolerance.max_flips
    if allowed == 1.0 or _without_flips(questions) <= allowed:
        return None
    more = f", {needed(allowed):,} for {allowed:.1%}" if allowed else ""
    return (
        f"The certificate has {questions} questions: it shows large damage, but even without a flip among them "
        f"{_without_flips(questions):.1%} of all answers may differ (95 %). More of them (--certify) show more"
        f"{more}."
    )


def needed(share: float) -> int:
    """Return how many questions without any flip exclude more than this share, 0..1 exclusive."""
    return 1 if share >= 1 else ceil(log((1 - CONFIDENCE) / 2) / log(1 - share))


def _without_flips(questions: int) -> float:
    return share_interval(0, questions)[1]
