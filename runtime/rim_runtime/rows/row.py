"""One row: a question with its options, and what the row says about the right answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rim_runtime.errors import QuestionError, RowError
from rim_runtime.question import Question
from rim_runtime.rows.answers import Answers, Counting, answers_of, text_answer
from rim_runtime.rows.keys import QUESTIONS, ignored_keys, subject_of
from rim_runtime.rows.options import options_of


@dataclass(frozen=True)
class Row:
    """A row as it is asked; nothing of it is silently left out."""

    question: Question
    """The question. Its options are choices where the row lists some, or none; else they may stand in its text."""
    id: Any
    """The row's `id`; None without one."""
    steps: Any
    """The row's `steps`, as they are; None without any."""
    ignored: tuple[str, ...]
    """Keys with a value that nothing reads and no known form has."""
    answers: Answers
    """What the row says about the right answer, not yet read."""
    subject: str | None = None
    """The field it belongs to, such as Anatomy; None where the row names none."""

    def answer(self, counting: Counting | None = None) -> str | None:
        """Return the right answer: a letter where the question has options, else a text; None without one.

        `counting` is where the numbers of the row's file count from (`counting_of`).
        Raises RowError where the answer is none of the options, or means several; a row may still be asked then.
        """
        if self.question.choices:
            return self.answers.letter(counting)
        return text_answer(self.answers, "" if self.question.choices == () else self.question.text)


def read_row(value: Any) -> Row:
    """Return the row of a JSON value, in one of the forms of docs/rows.md.

    Raises RowError with what was found, where it holds no question or one that cannot be asked.
    """
    if not isinstance(value, Mapping):
        raise RowError(f"found {type(value).__name__}, expected an object with 'question'.")
    row = _flat(value)
    ignored = ignored_keys(row)
    options = options_of(row)
    question = Question(_question(row), options.texts if options.texts or options.denied else None)
    try:
        question.rendered().encode()
        answers = answers_of(row, options)
        return Row(question, row.get("id"), row.get("steps"), ignored, answers, subject_of(row))
    except UnicodeEncodeError as error:
        text = str(error.object)
        raise RowError(f"half a character, {text[error.start]!r}, stands in {text[:60]!r}.") from None
    except QuestionError as error:
        raise RowError(str(error)) from None


def _flat(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a row whose question is a text; ARC's original rows have an object with stem and choices there."""
    question = row.get("question")
    if not isinstance(question, Mapping) or "stem" not in question:
        return row
    inner = {("question" if key == "stem" else key): value for key, value in question.items()}
    if twice := sorted((set(row) & set(inner)) - {"question"}):
        raise RowError(f"'{twice[0]}' stands in the row and in its 'question', expected it once.")
    return {**row, **inner}


def _question(row: Mapping[str, Any]) -> str:
    found = [key for key in QUESTIONS if row.get(key) is not None]
    if len(found) > 1:
        raise RowError(f"there are '{found[0]}' and '{found[1]}', expected one of them.")
    key = found[0] if found else "question"
    text = row.get(key)
    if not isinstance(text, str) or not text.strip():
        keys = ", ".join(list(map(str, row))[:8]) or "no keys"
        raise RowError(f"'{key}' is {text!r}, expected some text. The row has: {keys}.")
    return text
