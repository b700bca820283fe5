"""Training examples."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rim_runtime.errors import QuestionError
from rim_runtime.prompt.options import LETTERS, offered_letters, offered_options, render_options

from rim_edge.data.boxes import fits_box
from rim_edge.errors import DataError
from rim_edge.recipe.inputs import StepForm


@dataclass(frozen=True)
class Span:
    """A piece of text after the prompt."""

    text: str
    """The text, tokenized by itself."""
    labelled: bool
    """Whether the model is trained to write it; otherwise it only reads it."""


@dataclass(frozen=True)
class Example:
    """One question with the steps to its answer."""

    question: str
    """The user's text, options included."""
    steps: tuple[str, ...]
    """The written steps, without the answer; may be empty."""
    answer: str
    """The text in the box of the answer."""
    spans: tuple[Span, ...] = ()
    """For a text stage: the text between prompt and answer; without spans, the steps."""


_KEYS = ("question", "options", "steps", "answer")
_RESULT = "####"
_ELSEWHERE = {"choices": "options"}


def example_of_row(row: Any, form: StepForm | None) -> Example:
    """Return the example of a JSON row.

    `form` says what a step is where steps come as text; None: expressions in GSM8K's solutions, lines elsewhere.
    Raises DataError with the reason.
    """
    if not isinstance(row, dict):
        raise DataError(f"found {type(row).__name__}, expected an object with 'question' and 'answer'.")
    _refuse_misspelt(row)
    return _usable(_of_form(row, form))


def _of_form(row: dict[str, Any], form: StepForm | None) -> Example:
    """Return the example of a row in the form that its fields have; white space around an answer means nothing."""
    question, answer = _text(row, "question"), _text(row, "answer").strip()
    if options := _options(row.get("options")):
        return _choice(question, options, answer, _steps(row.get("steps", []), form))
    if _RESULT in answer:
        if "steps" in row:
            raise DataError(f"'answer' holds a solution with {_RESULT} and there are 'steps' too, expected one.")
        return _solved(question, answer, form)
    return Example(question, _steps(row.get("steps", []), form), answer)


def example_of_line(line: str, form: StepForm | None) -> Example:
    """Return the example of a GSM8K-Aug line. Raises DataError with the reason."""
    question, bar, solution = line.partition("||")
    if not bar or "||" in solution or not question.strip():
        raise DataError(f"found {line[:60]!r}, expected 'question||steps {_RESULT} answer'.")
    return _usable(_solved(question.strip(), solution, form))


def _usable(example: Example) -> Example:
    """Return the example. Raises DataError where it cannot be encoded, or its answer never be scored right."""
    for text in (example.question, *example.steps, example.answer):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise DataError(f"half a character, {text[error.start]!r}, stands in {text[:60]!r}.") from None
    offered = list(offered_options(example.question))
    if not offered and example.answer in LETTERS:  # with another answer, what looks like options is text
        offered = list(offered_letters(example.question))
    if offered and example.answer not in offered:
        raise DataError(
            f"'answer' is {example.answer!r} and the question's text ends in options, "
            f"expected one of {', '.join(offered)}."
        )
    if not fits_box(example.answer):
        raise DataError(f"'answer' is {example.answer!r}, expected braces in pairs: it is read up to a lone one.")
    return example


def _solved(question: str, solution: str, form: StepForm | None) -> Example:
    steps, _, result = solution.rpartition(_RESULT)
    answer = result.strip().replace(",", "")
    if _RESULT in steps or not answer or "\n" in answer or _RESULT not in solution:
        raise DataError(f"'answer' ends in {solution[-40:]!r}, expected one '{_RESULT} result' as its end.")
    return Example(question, split_steps(steps, form or StepForm.EXPRESSIONS), answer)


def _choice(question: str, options: Sequence[str], answer: str, steps: tuple[str, ...]) -> Example:
    try:
        text = render_options(question, options)
    except QuestionError as error:
        raise DataError(str(error)) from None
    letters = LETTERS[: len(options)]
    if len(answer) != 1 or answer not in letters:
        raise DataError(f"'answer' is {answer!r}, expected one of the offered letters {', '.join(letters)}.")
    return Example(text, steps, answer)


def _refuse_misspelt(row: dict[str, Any]) -> None:
    for key in sorted(set(row) - set(_KEYS)):
        meant = _ELSEWHERE.get(key) or next(iter(difflib.get_close_matches(key.lower(), _KEYS, 1, 0.8)), None)
        if meant is not None and meant not in row:
            raise DataError(f"there is the key '{key}', expected '{meant}'. Rename it.")


def _text(row: dict[str, Any], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"'{key}' is {value!r}, expected some text.")
    return value


def _options(value: Any) -> Sequence[str]:
    """Options are a list of texts, or the object {"A": text, "B": text, …} in order."""
    if isinstance(value, dict):
        if list(value) != list(LETTERS[: len(value)]):
            raise DataError(f"'options' has the keys {list(value)}, expected A, B, C, … in order.")
        value = list(value.values())
    return _texts([] if value is None else value, "options")


def _steps(value: Any, form: StepForm | None) -> tuple[str, ...]:
    if isinstance(value, str):
        return split_steps(value, form or StepForm.LINES)
    return _texts([] if value is None else value, "steps")


def _texts(value: Any, key: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
        raise DataError(f"'{key}' is {value!r}, expected a list of texts.")
    return tuple(value)


_EXPRESSION = re.compile(r"<<[^<>]*>>")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=\S)|\s*\n\s*")


def split_steps(text: str, form: StepForm) -> tuple[str, ...]:
    """Return the steps of a solution, without empty ones; there may be none."""
    if form is StepForm.EXPRESSIONS:
        return tuple(_EXPRESSION.findall(text))
    bare = _EXPRESSION.sub("", text)
    pieces = bare.split("\n") if form is StepForm.LINES else _SENTENCE_END.split(bare)
    return tuple(piece.strip() for piece in pieces if piece.strip())
