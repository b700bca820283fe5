"""What every attempt answered, for people to look at: each one's certificate, and the answers that changed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rim_runtime.machine.storage import write_file
from rim_runtime.prompt.options import LETTERS

from rim_export.certification.attempts import Attempt, Attempts
from rim_export.certification.comparison import Floats, letters_of, margins, offered_columns
from rim_export.certification.evaluation import AnsweredQuestions, Evaluation

SCHEMA_VERSION = 1
Trial = Mapping[str, Any]
"""One attempt as it stands in a report: certificate, what was kept wider, changed answers."""


def trials_of(evaluation: Evaluation, variants: Sequence[Attempts]) -> tuple[Trial, ...]:
    """Return all attempts of these variants, in the order in which they were made for each.

    An attempt that was certified stands there with the certificate's questions, others with the pool's.
    """
    return tuple(_trial(evaluation, attempt) for attempts in variants for attempt in attempts)


def write_report(
    path: Path, questions: str, max_flips: float, trials: Sequence[Trial], refusal: str | None = None
) -> None:
    """Write the report of an export; `refusal` says why it was refused, None that it passed.

    Raises StorageError.
    """
    body = {
        "schema_version": SCHEMA_VERSION,
        "passed": refusal is None,
        "refusal": refusal,
        "questions": questions,
        "max_flips": max_flips,
        "attempts": trials,
    }
    write_file(path, json.dumps(body, indent=1, ensure_ascii=False) + "\n")


def _trial(evaluation: Evaluation, attempt: Attempt) -> Trial:
    asked, result = evaluation.pool, attempt.result
    if attempt.certified:
        asked, result = evaluation.certified, attempt.certified
    return {
        "asked": "certificate" if attempt.certified else "pool",
        "certificate": dataclasses.asdict(result.comparison),
        "changed": _changed(asked, result.logits),
    }


def _changed(asked: AnsweredQuestions, logits: Floats) -> list[dict[str, Any]]:
    """Return the questions on which the letters differ, with both leads in logits."""
    questions, reference = asked.questions, asked.reference
    masks = np.stack([offered_columns(question.text) for question in questions])
    theirs, ours = letters_of(reference, masks), letters_of(logits, masks)
    their_leads, our_leads = margins(reference, masks), margins(logits, masks)
    return [
        {
            "question": questions[row].text,
            "answer": questions[row].answer,
            "checkpoint": LETTERS[int(theirs[row])],
            "checkpoint_lead": round(float(their_leads[row]), 4),
            "variant": LETTERS[int(ours[row])],
            "variant_lead": round(float(our_leads[row]), 4),
        }
        for row in map(int, np.flatnonzero(theirs != ours))
    ]
