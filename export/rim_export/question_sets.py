"""The questions of an export: those a variant is certified on, and those that activations are measured on.

They are disjoint: a question that a variant was fitted to proves nothing. A question that comes twice counts once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rim_runtime.bundle.folder import sha256_file
from rim_runtime.errors import RowError
from rim_runtime.prompt.encoder import PromptEncoder

from rim_export.errors import CalibrationError
from rim_export.question_parts import QuestionParts, Questions, apart, divide, once
from rim_export.questions import CERTIFICATE_SET, LabelledQuestion, fits, read_questions

LEAST_CERTIFIED = 12
"""Fewer leave too few candidates for golden questions."""
LEAST_CALIBRATED = 8
"""Fewer are too few to measure activations on."""
MOST_ANSWER_TOKENS = 512
"""An answer's first tokens, which are measured: its layers' states are all in memory at once."""
LEAST_GOLDEN = 4
"""Fewer candidates of a file of their own cannot give a bundle's golden questions."""


@dataclass(frozen=True)
class QuestionSource:
    """The file that questions come from."""

    name: str
    """Its name."""
    sha256: str
    """SHA-256 of it."""

    @classmethod
    def of(cls, path: Path) -> QuestionSource:
        """Hash a file."""
        return cls(path.name, sha256_file(path))


@dataclass(frozen=True)
class CertificateQuestions:
    """Questions to certify on."""

    source: QuestionSource
    """Their file."""
    golden_source: QuestionSource
    """The file of the candidates for golden questions: the same, or one of their own."""
    parts: QuestionParts
    """The questions, by what they serve."""
    notes: tuple[str, ...]
    """What was left out, for the user to know."""


@dataclass(frozen=True)
class CalibrationSet:
    """Questions to calibrate on."""

    name: str
    """Their file's name."""
    texts: tuple[str, ...]
    """The questions, with their options rendered into them."""
    prompts: tuple[tuple[int, ...], ...]
    """Their whole prompts, with all blocks; behind those of text answers, the answer."""
    notes: tuple[str, ...]
    """What was left out, for the user to know."""
    sha256: str = ""
    """SHA-256 of their file."""
    answers: int = 0
    """How many prompts go on with the row's answer in words."""


def check_question_files(certify: Path | None, golden: Path | None, calibration: Path | None) -> None:
    """Read the user's own files as far as that goes without a tokenizer: rows, repetitions, and what they share.

    None stands for a set that ships, or for golden questions of the certificate's file. Raises RowError and
    CalibrationError.
    """
    asked = read_questions(certify or CERTIFICATE_SET).asked
    if certify is not None:
        _require_certified(certify, len(asked), len(once(asked)), "")
    if golden is not None:
        rows = read_questions(golden).asked
        _require_golden(golden, len(rows), len(apart(once(rows), asked)))
        asked = (*asked, *rows)
    if calibration is not None:
        rows = read_questions(calibration).asked
        left = apart(rows, asked)
        why = f"{len(rows) - len(left)} are the certificate's"
        _require_calibrated(calibration, len(rows), len(once(left)), why)


def read_certificate_questions(
    path: Path, encoder: PromptEncoder, golden: Path | None = None, *, keep_going: bool = False
) -> CertificateQuestions:
    """Read the questions to certify on and divide them; those that the bundle does not accept are left out.

    `golden` is a file of candidates for golden questions; None draws them from the others. Notes say what was left
    out. Raises RowError (a file or a row is bad, or too few questions are left).
    """
    read = read_questions(path)
    different = once(read.asked)
    fitting = tuple(question for question in different if fits(question.text, encoder))
    limit = f" within the limit of {encoder.question_limit} tokens"
    _require_certified(path, len(read.asked), len(fitting), limit)
    repeated, long = len(read.asked) - len(different), len(different) - len(fitting)
    left_out = ((repeated, "come again and count once"), (long, "are over the limit and were left out"))
    notes = (*read.notes, *(f"{count} certificate questions {why}." for count, why in left_out if count))
    source = QuestionSource.of(path)
    if golden is None:
        return CertificateQuestions(source, source, divide(fitting, None, keep_going=keep_going), notes)
    candidates, more = _read_golden(golden, encoder, read.asked)
    parts = divide(fitting, candidates, keep_going=keep_going)
    return CertificateQuestions(source, QuestionSource.of(golden), parts, (*notes, *more))


def _read_golden(
    path: Path, encoder: PromptEncoder, certified: Iterable[LabelledQuestion]
) -> tuple[Questions, tuple[str, ...]]:
    """Read candidates for golden questions that are not the certificate's; return them with notes."""
    read = read_questions(path)
    different = apart(once(read.asked), certified)
    fitting = tuple(question for question in different if fits(question.text, encoder))
    _require_golden(path, len(read.asked), len(fitting))
    lost = len(read.asked) - len(fitting)
    why = f"{lost} questions of {path.name} are the certificate's, come again or are over the limit: not golden."
    return fitting, (*read.notes, *((why,) if lost else ()))


def read_calibration(
    path: Path, encoder: PromptEncoder, certified: Iterable[LabelledQuestion], *, text: bool = False
) -> CalibrationSet:
    """Read calibration questions; those of the certificate and those over the limit are left out, with a note.

    With `text`, for a bundle that writes, an answer in words is measured behind the prompt of a text answer.
    Raises RowError (the file or a row is bad) and CalibrationError (too few are left).
    """
    read = read_questions(path)
    others = apart(read.asked, certified)
    different = once(others)
    fitting = tuple(row for row in different if fits(row.text, encoder))
    shared, repeated = len(read.asked) - len(others), len(others) - len(different)
    long = len(different) - len(fitting)
    why = f"{shared} are the certificate's, {long} are over the limit of {encoder.question_limit} tokens"
    _require_calibrated(path, len(read.asked), len(fitting), why)
    left_out = (
        (shared, "are in the certificate too"),
        (repeated, "come again"),
        (long, "are over the limit"),
    )
    notes = tuple(f"{count} calibration questions {why} and were left out." for count, why in left_out if count)
    answers = sum(row.words is not None for row in fitting) if text else 0
    if answers:
        notes = (*notes, f"{answers} of {len(fitting)} calibration questions are measured with their answers.")
    texts = tuple(row.text for row in fitting)
    prompts = tuple(_measured(row, encoder, text) for row in fitting)
    return CalibrationSet(path.name, texts, prompts, (*read.notes, *notes), sha256_file(path), answers)


def _measured(row: LabelledQuestion, encoder: PromptEncoder, text: bool) -> tuple[int, ...]:
    if not text or row.words is None:
        return encoder.compose(row.text).ids
    answer = encoder.encode_answer(row.words)[:MOST_ANSWER_TOKENS]
    return (*encoder.compose_text(row.text, encoder.contract.blocks), *answer)


def _require_certified(path: Path, rows: int, left: int, limit: str) -> None:
    if left < LEAST_CERTIFIED:
        raise RowError(
            f"{path} has {rows} certificate questions, {left} different ones{limit}, expected at least "
            f"{LEAST_CERTIFIED}. Give more or shorter ones with --certify."
        )


def _require_golden(path: Path, rows: int, left: int) -> None:
    if left < LEAST_GOLDEN:
        raise RowError(
            f"{path} has {rows} candidates for golden questions, {left} different ones that are not the "
            f"certificate's, expected at least {LEAST_GOLDEN}. Give others with --golden, or leave it out."
        )


def _require_calibrated(path: Path, rows: int, left: int, why: str) -> None:
    if left < LEAST_CALIBRATED:
        raise CalibrationError(
            f"{path} has {rows} calibration questions; {why}: {left} are left, expected at least "
            f"{LEAST_CALIBRATED}. Give others, in your model's field, with --calibration."
        )
