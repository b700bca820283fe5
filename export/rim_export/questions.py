"""Questions to certify a variant on: the set that ships, or a user's own JSONL file.

A row is `{"question": text, "options": {"A": …} or [ … ], "answer": letter}`; options and answer may be
missing. Files are UTF-8, with or without a byte order mark, and may be gzipped (`.gz`). Bad rows are errors with
file, line and reason.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rim_runtime.errors import InputError, QuestionError
from rim_runtime.machine.json_files import parse_json
from rim_runtime.prompt.encoder import PromptEncoder
from rim_runtime.prompt.options import LETTERS, render_options

_DATA = Path(__file__).parent / "data"
CERTIFICATE_SET = _DATA / "medical.jsonl"
"""96 medical questions that exports are certified on; see SOURCE.md beside it."""
CALIBRATION_SET = _DATA / "calibration.jsonl"
"""64 others, to measure activations on; see SOURCE.md beside it."""


class QuestionFileError(InputError):
    """A question file cannot be read, or a row of it is not a question."""


@dataclass(frozen=True)
class LabelledQuestion:
    """One question in the form in which the model is asked."""

    text: str
    """The question with its options rendered into it."""
    answer: str | None
    """The right letter; None if the row has none."""


def read_questions(path: Path) -> tuple[LabelledQuestion, ...]:
    """Read a question file. Raises QuestionFileError."""
    try:
        return tuple(_question(row, path, number) for number, row in _rows(path))
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise QuestionFileError(f"{path} cannot be read ({error}). Give a JSONL file, or JSONL in gzip.") from None


def fits(text: str, encoder: PromptEncoder) -> bool:
    """Whether a bundle accepts this question: not empty, not over its limit."""
    try:
        encoder.encode(text)
    except QuestionError:
        return False
    return True


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield number, parse_json(line)
            except ValueError as error:
                raise QuestionFileError(f"{path}, line {number}: not JSON ({error}). Mend or drop it.") from None


def _question(row: Any, path: Path, number: int) -> LabelledQuestion:
    where = f"{path}, line {number}"
    if not isinstance(row, dict) or not isinstance(row.get("question"), str):
        raise QuestionFileError(f'{where}: no "question" text. Expected {{"question", "options"?, "answer"?}}.')
    options, answer = row.get("options"), row.get("answer")
    choices = _choices(options, where)
    if answer is not None and answer not in list(LETTERS):
        raise QuestionFileError(f'{where}: "answer" is {answer!r}, expected a letter A to J. Mend or drop it.')
    try:
        text = render_options(row["question"], choices) if choices else row["question"]
    except InputError as error:
        raise QuestionFileError(f"{where}: {error}") from None
    return LabelledQuestion(text, answer)


def _choices(options: Any, where: str) -> list[str]:
    values = options
    if isinstance(options, dict):
        if list(options) != list(LETTERS[: len(options)]):
            raise QuestionFileError(
                f'{where}: "options" has the keys {list(options)}, expected A, B, C, … in order.'
            )
        values = list(options.values())
    if values is None:
        return []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise QuestionFileError(
            f'{where}: "options" is {options!r}, expected texts by letter, or a list of texts.'
        )
    return values
