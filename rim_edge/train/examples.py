"""Training examples, and their reader for JSON lines.

A row is `{"question", "answer", "options"?, "steps"?}`: with options they are rendered into the question in
the one form that the runtime knows, and the answer is a letter or, as given, any text.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rim_runtime.errors import QuestionError
from rim_runtime.options import render_options

from rim_edge.train.errors import DataError


@dataclass(frozen=True)
class Span:
    """A piece of text behind the prompt."""

    text: str
    """The text, tokenized by itself."""
    labelled: bool
    """Whether the model is trained to say it; otherwise it only reads it."""


@dataclass(frozen=True)
class Example:
    """One question with the steps to its answer."""

    question: str
    """The user's text, options included."""
    steps: tuple[str, ...]
    """The written steps, without the answer; may be empty."""
    answer: str
    """What stands in the box."""
    spans: tuple[Span, ...] = ()
    """For a text stage: what stands between prompt and answer; without spans, the steps."""


def read_examples(path: Path) -> list[Example]:
    """Read a .jsonl or .jsonl.gz file. Raises DataError with file, line and reason."""
    examples = [_example(row, f"{path}, line {number}") for number, row in _rows(path)]
    if not examples:
        raise DataError(f"{path} has no rows, expected JSON lines with 'question' and 'answer'.")
    return examples


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    if not path.is_file():
        raise DataError(f"There is no file {path}, expected training data (.jsonl or .jsonl.gz).")
    opener = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opener(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {number}: no JSON ({error}). Mend or remove the line.") from None
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path}, behind line {number}: cannot be read ({error}).") from None


def _example(row: Any, place: str) -> Example:
    if not isinstance(row, dict):
        raise DataError(f"{place}: found {type(row).__name__}, expected an object with 'question' and 'answer'.")
    known = {"question", "options", "steps", "answer"}
    if unknown := sorted(set(row) - known):
        raise DataError(f"{place}: unknown keys {unknown}, expected only {sorted(known)}.")
    question = _text(row, "question", place)
    if options := _options(row.get("options"), place):
        try:
            question = render_options(question, options)
        except QuestionError as error:
            raise DataError(f"{place}: {error}") from None
    return Example(question, _texts(row.get("steps", []), "steps", place), _text(row, "answer", place))


def _text(row: dict[str, Any], key: str, place: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{place}: '{key}' is {value!r}, expected some text.")
    return value


def _options(value: Any, place: str) -> Sequence[str]:
    """Options are a list of texts, or the object {"A": text, "B": text, …} in order."""
    if isinstance(value, dict):
        if list(value) != [chr(ord("A") + index) for index in range(len(value))]:
            raise DataError(f"{place}: 'options' has the keys {list(value)}, expected A, B, C, … in order.")
        value = list(value.values())
    return _texts(value or [], "options", place)


def _texts(value: Any, key: str, place: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
        raise DataError(f"{place}: '{key}' is {value!r}, expected a list of texts.")
    return tuple(value)
