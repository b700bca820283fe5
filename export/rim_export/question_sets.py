"""The questions of an export: those a variant is certified on, and those that activations are measured on.

They are disjoint: a question that a variant was fitted to proves nothing. A question that comes twice counts once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rim_runtime.bundle.folder import sha256_file
from rim_runtime.errors import RowError
from rim_runtime.prompt.encoder import PromptEncoder

from rim_export.errors import CalibrationError
from rim_export.questions import CERTIFICATE_SET, LabelledQuestion, fits, read_questions

LEAST_CERTIFIED = 12
"""Fewer leave too few candidates for golden questions."""
LEAST_CALIBRATED = 8
"""Fewer are too few to measure activations on."""


@dataclass(frozen=True)
class CertificateQuestions:
    """Questions to certify on."""

    name: str
    """Their file's name."""
    asked: tuple[LabelledQuestion, ...]
    """The questions."""
    notes: tuple[str, ...]
    """What was left out, for the user to know."""
    sha256: str
    """SHA-256 of their file."""


@dataclass(frozen=True)
class CalibrationSet:
    """Questions to calibrate on."""

    name: str
    """Their file's name."""
    texts: tuple[str, ...]
    """The questions, with their options rendered into them."""
    prompts: tuple[tuple[int, ...], ...]
    """Their whole prompts, with all blocks."""
    notes: tuple[str, ...]
    """What was left out, for the user to know."""


def check_question_files(certify: Path | None, calibration: Path | None) -> None:
    """Read the user's own files as far as that goes without a tokenizer: rows, repetitions, and what both share.

    None stands for a set that ships. Raises RowError and CalibrationError.
    """
    if certify is not None:
        rows = read_questions(certify).asked
        _require_certified(certify, len(rows), len(_once(rows)), "")
    if calibration is not None:
        rows = read_questions(calibration).asked
        apart = _apart(rows, read_questions(certify or CERTIFICATE_SET).asked)
        why = f"{len(rows) - len(apart)} are the certificate's"
        _require_calibrated(calibration, len(rows), len(_once(apart)), why)


def read_certificate_questions(path: Path, encoder: PromptEncoder) -> CertificateQuestions:
    """Read the questions to certify on; those that the bundle does not accept are left out, with a note.

    Raises RowError (the file or a row is bad, or fewer than twelve questions are left).
    """
    read = read_questions(path)
    once = _once(read.asked)
    fitting = tuple(question for question in once if fits(question.text, encoder))
    limit = f" within the limit of {encoder.question_limit} tokens"
    _require_certified(path, len(read.asked), len(fitting), limit)
    repeated, long = len(read.asked) - len(once), len(once) - len(fitting)
    left_out = ((repeated, "come again and count once"), (long, "are over the limit and were left out"))
    notes = tuple(f"{count} certificate questions {why}." for count, why in left_out if count)
    return CertificateQuestions(path.name, fitting, (*read.notes, *notes), sha256_file(path))


def read_calibration(path: Path, encoder: PromptEncoder, certified: Iterable[LabelledQuestion]) -> CalibrationSet:
    """Read calibration questions; those of the certificate and those over the limit are left out, with a note.

    Raises RowError (the file or a row is bad) and CalibrationError (too few are left).
    """
    read = read_questions(path)
    apart = _apart(read.asked, certified)
    once = _once(apart)
    texts = tuple(row.text for row in once if fits(row.text, encoder))
    shared, repeated, long = len(read.asked) - len(apart), len(apart) - len(once), len(once) - len(texts)
    why = f"{shared} are the certificate's, {long} are over the limit of {encoder.question_limit} tokens"
    _require_calibrated(path, len(read.asked), len(texts), why)
    left_out = (
        (shared, "are in the certificate too"),
        (repeated, "come again"),
        (long, "are over the limit"),
    )
    notes = tuple(f"{count} calibration questions {why} and were left out." for count, why in left_out if count)
    prompts = tuple(encoder.compose(text).ids for text in texts)
    return CalibrationSet(path.name, texts, prompts, (*read.notes, *notes))


def _apart(rows: Iterable[LabelledQuestion], others: Iterable[LabelledQuestion]) -> tuple[LabelledQuestion, ...]:
    """Return the questions that are not among the others."""
    taken = {_normalized(question.text) for question in others}
    return tuple(row for row in rows if _normalized(row.text) not in taken)


def _once(rows: Iterable[LabelledQuestion]) -> tuple[LabelledQuestion, ...]:
    """Return each question once; other white space or capitals make no other question, signs do."""
    first: dict[str, LabelledQuestion] = {}
    for row in rows:
        first.setdefault(" ".join(row.text.casefold().split()), row)
    return tuple(first.values())


def _normalized(text: str) -> str:
    """Return a text's letters and digits in lower case; a question with equal ones is too close to be apart."""
    return re.sub(r"\W+", "", text.lower())


def _require_certified(path: Path, rows: int, left: int, limit: str) -> None:
    if left < LEAST_CERTIFIED:
        raise RowError(
            f"{path} has {rows} certificate questions, {left} different ones{limit}, expected at least "
            f"{LEAST_CERTIFIED}. Give more or shorter ones with --certify."
        )


def _require_calibrated(path: Path, rows: int, left: int, why: str) -> None:
    if left < LEAST_CALIBRATED:
        raise CalibrationError(
            f"{path} has {rows} calibration questions; {why}: {left} are left, expected at least "
            f"{LEAST_CALIBRATED}. Give others, in your model's field, with --calibration."
        )
