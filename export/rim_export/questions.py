"""Questions to certify a variant on, or to calibrate on: a set that ships, or a user's own file of rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rim_runtime.errors import QuestionError, RowError
from rim_runtime.prompt.encoder import PromptEncoder
from rim_runtime.prompt.options import LETTERS
from rim_runtime.rows.files import counting_of_records, read_records
from rim_runtime.rows.row import Row

_DATA = Path(__file__).parent / "data"
CERTIFICATE_SET = _DATA / "medical.jsonl"
"""288 medical questions that exports are certified on; see SOURCE.md beside it."""
CALIBRATION_SET = _DATA / "calibration.jsonl"
"""64 others, to measure activations on; see SOURCE.md beside it."""


@dataclass(frozen=True)
class LabelledQuestion:
    """One question in the form in which the model is asked."""

    text: str
    """The question with its options rendered into it."""
    answer: str | None
    """The right letter; None if the row has none, or a text."""
    words: str | None = None
    """The right answer where it is a text."""


@dataclass(frozen=True)
class QuestionFile:
    """The questions of a file."""

    asked: tuple[LabelledQuestion, ...]
    """Its questions, in order."""
    notes: tuple[str, ...]
    """Which keys of its rows were left unread, for the user to know."""


def read_questions(path: Path) -> QuestionFile:
    """Read a file of rows, in any of the forms of docs/rows.md. Raises RowError with file, line and reason."""
    records = list(read_records(path))
    counting = counting_of_records(path, records)
    asked: list[LabelledQuestion] = []
    ignored: dict[str, None] = {}
    for record in records:
        try:
            row = record.row
            asked.append(_labelled(row, row.answer(counting)))
        except (QuestionError, RowError) as error:
            raise RowError(f"{path}, {record.place}: {error} Mend or drop it.") from None
        ignored.update(dict.fromkeys(row.ignored))
    notes = (f"{path.name}: ignored keys: {', '.join(ignored)}",) if ignored else ()
    return QuestionFile(tuple(asked), notes)


def fits(text: str, encoder: PromptEncoder) -> bool:
    """Whether a bundle accepts this question: not empty, not over its limit."""
    try:
        encoder.encode(text)
    except QuestionError:
        return False
    return True


def _labelled(row: Row, answer: str | None) -> LabelledQuestion:
    """Return a row's question. Raises QuestionError where it is not clear which letters it offers."""
    offered = row.question.offered()
    is_letter = answer in (offered or list(LETTERS))
    return LabelledQuestion(
        row.question.rendered(), answer if is_letter else None, None if is_letter else answer or None
    )
