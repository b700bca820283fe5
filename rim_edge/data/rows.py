"""Training examples."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from rim_runtime.errors import RowError
from rim_runtime.rows.answers import Counting
from rim_runtime.rows.row import Row

from rim_edge.data.boxes import fits_box
from rim_edge.data.numbers import without_thousands
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
    denies_options: bool = False
    """Whether nothing in the question is an option, whatever it looks like."""
    subject: str = ""
    """The field it belongs to, such as Anatomy; empty where the row names none."""


_RESULT = "####"


def example_of_row(row: Row, counting: Counting | None, form: StepForm | None) -> Example:
    """Return the example of a row; white space around an answer means nothing.

    `counting` is where the numbers of its file count from; `form` says what a step is where steps come as text
    (None: expressions in GSM8K's solutions, lines elsewhere). Raises RowError with the reason.
    """
    question, answer = row.question.rendered(), row.answer(counting)
    if answer is None:
        raise RowError("there is no answer, expected one in 'answer' (or as its set has it: docs/rows.md).")
    if _RESULT in answer:
        if row.steps is not None:
            raise RowError(f"'answer' holds a solution with {_RESULT} and there are 'steps' too, expected one.")
        return _usable(replace(_solved(question, answer, form), subject=row.subject or ""))
    denied, subject = row.question.choices == (), row.subject or ""
    told = _steps(row.steps, form)
    steps = tuple(span.text for span in told if span.labelled)
    spans = () if len(steps) == len(told) else tuple(replace(span, text=f"{span.text}\n") for span in told)
    return _usable(Example(question, steps, answer, spans, denies_options=denied, subject=subject))


def example_of_line(line: str, form: StepForm | None) -> Example:
    """Return the example of a GSM8K-Aug line. Raises RowError with the reason."""
    question, bar, solution = line.partition("||")
    if not bar or "||" in solution or not question.strip():
        raise RowError(f"found {line[:60]!r}, expected 'question||steps {_RESULT} answer'.")
    return _usable(_solved(question.strip(), solution, form))


def _usable(example: Example) -> Example:
    """Return the example. Raises RowError where it cannot be encoded, or its answer never be scored right."""
    for text in (example.question, *example.steps, *(span.text for span in example.spans), example.answer):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise RowError(f"half a character, {text[error.start]!r}, stands in {text[:60]!r}.") from None
    if not fits_box(example.answer):
        raise RowError(f"'answer' is {example.answer!r}, expected braces in pairs: it is read up to a lone one.")
    return example


def _solved(question: str, solution: str, form: StepForm | None) -> Example:
    steps, _, result = solution.rpartition(_RESULT)
    answer = without_thousands(result.strip())
    if _RESULT in steps or not answer or "\n" in answer or _RESULT not in solution:
        raise RowError(f"'answer' ends in {solution[-40:]!r}, expected one '{_RESULT} result' as its end.")
    return Example(question, split_steps(steps, form or StepForm.EXPRESSIONS), answer)


def _steps(value: Any, form: StepForm | None) -> tuple[Span, ...]:
    """Return the steps, each as it stands; those that are only read are not labelled."""
    if isinstance(value, str):
        return tuple(Span(step, labelled=True) for step in split_steps(value, form or StepForm.LINES))
    found = [_step(step) for step in value] if isinstance(value, list) else [] if value is None else [None]
    steps = [step for step in found if step is not None]
    if len(steps) < len(found):
        raise RowError(
            f"'steps' is {value!r}, expected a list of texts, or {{'given': text}} for what is only read."
        )
    return tuple(steps)


def _step(value: Any) -> Span | None:
    """Return a step of a list; None for anything else."""
    labelled = not (isinstance(value, dict) and set(value) == {"given"})
    text = value if labelled else value["given"]
    return Span(text, labelled) if isinstance(text, str) and text.strip() else None


_EXPRESSION = re.compile(r"<<[^<>]*>>")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=\S)|\s*\n\s*")


def split_steps(text: str, form: StepForm) -> tuple[str, ...]:
    """Return the steps of a solution, without empty ones; there may be none."""
    if form is StepForm.EXPRESSIONS:
        return tuple(_EXPRESSION.findall(text))
    bare = _EXPRESSION.sub("", text)
    pieces = bare.split("\n") if form is StepForm.LINES else _SENTENCE_END.split(bare)
    return tuple(piece.strip() for piece in pieces if piece.strip())
