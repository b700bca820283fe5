"""Steps out of a solution: its `<<…>>` expressions, its lines, or its sentences. Nothing is merged or cut."""

from __future__ import annotations

import re
from enum import StrEnum


class StepForm(StrEnum):
    """What one step of a written solution is."""

    EXPRESSIONS = "expressions"
    """A calculator annotation, brackets included: `<<48/2=24>>`, as in GSM8K-Aug."""
    LINES = "lines"
    """A line with some text; calculator annotations are dropped from it."""
    SENTENCES = "sentences"
    """What ends in a full stop, a question or exclamation mark before white space; line breaks end one too."""


_EXPRESSION = re.compile(r"<<[^<>]*>>")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=\S)|\s*\n\s*")


def split_steps(text: str, form: StepForm) -> tuple[str, ...]:
    """Return the steps of a solution, without empty ones; there may be none."""
    if form is StepForm.EXPRESSIONS:
        return tuple(_EXPRESSION.findall(text))
    bare = _EXPRESSION.sub("", text)
    pieces = bare.split("\n") if form is StepForm.LINES else _SENTENCE_END.split(bare)
    return tuple(piece.strip() for piece in pieces if piece.strip())
