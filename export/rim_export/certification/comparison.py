"""Compare a variant's answers with its checkpoint's: letters, margins, divergence, paired accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from rim_runtime.bundle.manifest import Precision, Variant
from rim_runtime.prompt.options import LETTERS, offered_letters

from rim_export.certification.certificate import LAYERS_NAMED, LayerCost, VariantCertificate
from rim_export.certification.intervals import Interval, paired_difference_interval, share_interval
from rim_export.errors import CertificateError
from rim_export.questions import LabelledQuestion

Floats = NDArray[np.float32]
Columns = NDArray[np.intp]
_NEAR_TIE = 0.1


def near_tie(precision: Precision) -> float:
    """Return the lead in logits below which a precision may take another letter: 0.1 is 52.5 against 47.5 %.

    0 in fp32, which differs from the checkpoint by the order of its sums alone: many flips are a fault there, near
    ties or not.
    """
    return 0.0 if precision is Precision.FP32 else _NEAR_TIE


def compare(
    variant: Variant,
    questions: Sequence[LabelledQuestion],
    logits: Floats,
    reference: Floats,
    layer_errors: Sequence[float] = (),
) -> VariantCertificate:
    """Compare a variant's letter logits [n, letters] with the reference's; `layer_errors` are only recorded.

    Raises CertificateError if either are not finite.
    """
    _require_finite(variant.name, logits)
    _require_finite("reference", reference)
    both = _Answers(np.stack([offered_columns(question.text) for question in questions]), logits, reference)
    flips, accuracy = int(both.flipped.sum()), _paired_accuracy(both, questions)
    return VariantCertificate(
        variant=variant.name,
        precision=variant.precision.value,
        n=len(questions),
        flips=flips,
        flips_interval=share_interval(flips, len(questions)),
        near_tie_flips=int((both.flipped & (both.regrets < near_tie(variant.precision))).sum()),
        agreement=float((~both.flipped).mean()),
        worst_margin=float(_leads(logits, both.masks, both.theirs).min()),
        mean_kl=float(_kl(reference, logits, both.masks).mean()),
        mean_logit_error=float(both.errors.sum() / both.masks.sum()),
        max_logit_error=float(both.errors.max()),
        labelled=accuracy.labelled,
        accuracy=accuracy.variant,
        reference_accuracy=accuracy.reference,
        accuracy_difference=accuracy.difference,
        accuracy_difference_interval=accuracy.interval,
        costliest_layers=costliest(layer_errors)[:LAYERS_NAMED],
    )


@dataclass(frozen=True)
class _Answers:
    """A variant's answers and the reference's to the same questions."""

    masks: NDArray[np.bool_]
    """Which letters each question offers, [n, letters]."""
    logits: Floats
    """The variant's letter logits, [n, letters]."""
    reference: Floats
    """The reference's letter logits, [n, letters]."""

    @cached_property
    def ours(self) -> Columns:
        """The variant's letters, [n]."""
        return letters_of(self.logits, self.masks)

    @cached_property
    def theirs(self) -> Columns:
        """The reference's letters, [n]."""
        return letters_of(self.reference, self.masks)

    @property
    def flipped(self) -> NDArray[np.bool_]:
        """Whether they differ, [n]."""
        differ: NDArray[np.bool_] = self.ours != self.theirs
        return differ

    @property
    def regrets(self) -> Floats:
        """By how many logits the reference holds the variant's letter for less likely than its own, [n]."""
        rows = np.arange(len(self.reference))
        found: Floats = self.reference[rows, self.theirs] - self.reference[rows, self.ours]
        return found

    @property
    def errors(self) -> Floats:
        """Absolute differences of the offered letters' logits, 0 elsewhere, [n, letters]."""
        found: Floats = np.where(self.masks, np.abs(self.logits - self.reference), 0)
        return found


def _require_finite(name: str, logits: Floats) -> None:
    broken = int((~np.isfinite(logits)).any(axis=1).sum())
    if broken:
        raise CertificateError(
            f"The {name} logits are not finite on {broken} of {len(logits)} questions. "
            "The checkpoint's weights are damaged, or the precision is too narrow."
        )


def costliest(layer_errors: Sequence[float]) -> tuple[LayerCost, ...]:
    """Return all layers, the worst first."""
    costs = [LayerCost(layer, round(error, 4)) for layer, error in enumerate(layer_errors)]
    return tuple(sorted(costs, key=lambda cost: -cost.error))


@dataclass(frozen=True)
class _PairedAccuracy:
    """Accuracy of both on the questions whose right letter is known; None if there are none."""

    labelled: int
    variant: float | None = None
    reference: float | None = None
    difference: float | None = None
    interval: Interval | None = None


def _paired_accuracy(both: _Answers, questions: Sequence[LabelledQuestion]) -> _PairedAccuracy:
    answers = np.array([LETTERS.find(q.answer) if q.answer else -1 for q in questions])
    labelled = answers >= 0
    n = int(labelled.sum())
    if not n:
        return _PairedAccuracy(0)
    right, reference_right = (both.ours == answers)[labelled], (both.theirs == answers)[labelled]
    gained, lost = int((right & ~reference_right).sum()), int((~right & reference_right).sum())
    return _PairedAccuracy(
        labelled=n,
        variant=float(right.mean()),
        reference=float(reference_right.mean()),
        difference=(gained - lost) / n,
        interval=paired_difference_interval(gained, lost, n),
    )


def offered_columns(text: str) -> NDArray[np.bool_]:
    """Return which letters a question offers, bool [letters]: its options, else all."""
    offered = offered_letters(text) or LETTERS
    return np.array([letter in offered for letter in LETTERS])


def letters_of(logits: Floats, masks: NDArray[np.bool_]) -> Columns:
    """Return the column of the best offered letter of each row."""
    best: Columns = np.where(masks, logits, -np.inf).argmax(axis=1)
    return best


def margins(logits: Floats, masks: NDArray[np.bool_]) -> Floats:
    """Return the best offered logit minus the second best, [n]."""
    best = np.sort(np.where(masks, logits, -np.inf), axis=1)
    found: Floats = best[:, -1] - best[:, -2]
    return found


def _leads(logits: Floats, masks: NDArray[np.bool_], letters: Columns) -> Floats:
    """Return the logit of the given letter minus the best of the other offered ones, [n]."""
    rows = np.arange(len(logits))
    others = np.where(masks, logits, -np.inf)
    others[rows, letters] = -np.inf
    leads: Floats = logits[rows, letters] - others.max(axis=1)
    return leads


def log_probabilities(logits: Floats, masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the log-probabilities of the letters among the offered ones, [n, letters]."""
    offered = np.where(masks, logits.astype(np.float64), -np.inf)
    shifted = offered - offered.max(axis=1, keepdims=True)
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def _kl(reference: Floats, logits: Floats, masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    p, q = log_probabilities(reference, masks), log_probabilities(logits, masks)
    with np.errstate(invalid="ignore"):
        terms = np.where(masks, np.exp(p) * (p - q), 0.0)
    result: NDArray[np.float64] = terms.sum(axis=1)
    return result
