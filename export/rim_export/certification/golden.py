"""Golden questions: candidates that every variant answers like the checkpoint, with a clear margin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from rim_runtime.bundle.folder import GoldenQuestion
from rim_runtime.prompt.options import LETTERS

from rim_export.certification.comparison import Floats, letters_of, log_probabilities, margins, offered_columns
from rim_export.errors import CertificateError
from rim_export.questions import LabelledQuestion

LEAST, MOST = 4, 16
CLEAR_MARGIN = 4.0
"""A golden question's margin is at least this many times the variant's noise."""


def clearly_answered(
    questions: Sequence[LabelledQuestion], logits: Floats, reference: Floats, clear_margin: float = CLEAR_MARGIN
) -> NDArray[np.bool_]:
    """Return which questions a variant answers like the reference, with a clear margin; bool [n].

    `logits` and `reference` are letter logits [n, letters]; `clear_margin` is in units of `noise`.
    """
    masks = np.stack([offered_columns(question.text) for question in questions])
    same = letters_of(logits, masks) == letters_of(reference, masks)
    clear: NDArray[np.bool_] = same & (margins(reference, masks) >= clear_margin * noise(logits, reference, masks))
    return clear


def noise(logits: Floats, reference: Floats, masks: NDArray[np.bool_]) -> float:
    """Return the mean absolute error of the offered letters' logits, without what all of a question's err alike.

    Such a shift changes no answer, and can be most of the error: all letters' rows lie close together.
    """
    errors = np.where(masks, logits - reference, 0)
    shifts = errors.sum(axis=1, keepdims=True) / masks.sum(axis=1, keepdims=True)
    return float(np.where(masks, np.abs(errors - shifts), 0).sum() / masks.sum())


def choose_golden(
    questions: Sequence[LabelledQuestion],
    variants: Mapping[str, Floats],
    reference: Floats,
    blocks: int,
    clear_margin: float = CLEAR_MARGIN,
) -> tuple[GoldenQuestion, ...]:
    """Choose 4 to 16 questions that every variant answers like the reference, the largest margins first.

    `variants` holds each variant's letter logits [n, letters] by its name. Raises CertificateError if there are
    fewer.
    """
    clear = {
        name: clearly_answered(questions, logits, reference, clear_margin) for name, logits in variants.items()
    }
    good = np.logical_and.reduce(list(clear.values()))
    if good.sum() < LEAST:
        raise CertificateError(_too_few(good, clear))
    masks = np.stack([offered_columns(question.text) for question in questions])
    smallest = np.min([margins(logits, masks) for logits in (reference, *variants.values())], axis=0)
    order = [int(index) for index in np.argsort(-smallest, kind="stable") if good[index]][:MOST]
    letters, logs = letters_of(reference, masks), log_probabilities(reference, np.ones_like(masks))
    return tuple(
        GoldenQuestion(
            question=questions[index].text,
            blocks=blocks,
            letter=LETTERS[int(letters[index])],
            log_probabilities=tuple(round(float(value), 4) for value in logs[index]),
        )
        for index in order
    )


def _too_few(good: NDArray[np.bool_], clear: Mapping[str, NDArray[np.bool_]]) -> str:
    counts = ", ".join(f"{name} {int(found.sum())}" for name, found in clear.items())
    return (
        f"Only {int(good.sum())} of {len(good)} candidate questions are answered like the checkpoint with a clear "
        f"margin ({counts}), expected at least {LEAST}. Nothing was written."
    )
