"""Questions made ready for an engine: their tokens, and the letters they offer."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rim_runtime.errors import QuestionError
from rim_runtime.prompt.encoder import PromptEncoder
from rim_runtime.question import Question


@dataclass(frozen=True)
class PreparedQuestion:
    """One question."""

    ids: tuple[int, ...]
    """Token ids of its segment."""
    offered: Mapping[str, str]
    """Its options by letter; empty where it has none."""


@dataclass(frozen=True)
class PreparedQuestions:
    """Several, asked with the same number of memory blocks."""

    rows: Sequence[PreparedQuestion]
    blocks: int
    seconds: float
    """That it took to read one of them, on average."""


def prepare(question: Question, encoder: PromptEncoder, letters: Sequence[str]) -> PreparedQuestion:
    """Read one question, for a model that answers these letters. Raises QuestionError."""
    if not isinstance(question, Question):
        raise QuestionError(f"The question is a {type(question).__name__}, expected Question(text, choices).")
    ids, offered = encoder.encode(question.rendered()), question.offered()
    if not set(offered) <= set(letters):
        raise QuestionError(
            f"The question offers the letters {', '.join(offered)}, this model answers "
            f"{letters[0]} to {letters[-1]}. Offer fewer options."
        )
    return PreparedQuestion(ids, offered)


def prompt_tokens(question: Question, encoder: PromptEncoder, letters: Sequence[str], blocks: int | None) -> int:
    """Return how many tokens the prompt has that a letter is read behind; `blocks` None means all that there are.

    Raises QuestionError.
    """
    contract = encoder.contract
    suffix = contract.suffix(contract.blocks if blocks is None else blocks)
    return len(contract.head) + len(prepare(question, encoder, letters).ids) + len(suffix)


def prepare_all(
    questions: Iterable[Question], encoder: PromptEncoder, letters: Sequence[str], blocks: int | None
) -> PreparedQuestions:
    """Read questions; `blocks` None means all that there are.

    Raises QuestionError, which says the number of the question that it is about.
    """
    contract = encoder.contract
    count = contract.check_blocks(contract.blocks if blocks is None else blocks)
    start = time.perf_counter()
    asked = _listed(questions)
    rows = []
    for number, question in enumerate(asked, 1):
        try:
            rows.append(prepare(question, encoder, letters))
        except QuestionError as error:
            if len(asked) > 1:
                error.add_note(f"This is question {number} of {len(asked)}.")
            raise
    return PreparedQuestions(rows, count, (time.perf_counter() - start) / max(1, len(rows)))


def _listed(questions: Iterable[Question]) -> tuple[Question, ...]:
    """Return questions as a tuple; an iterator is read once. Raises QuestionError for what holds other things."""
    expected = "Expected an iterable of Question, such as [Question(text, choices)]; one text is for ask."
    if isinstance(questions, str | Question) or not isinstance(questions, Iterable):
        raise QuestionError(f"The questions are one {type(questions).__name__}. {expected}")
    asked = tuple(questions)
    for number, question in enumerate(asked, 1):
        if not isinstance(question, Question):
            raise QuestionError(f"Question {number} is a {type(question).__name__}. {expected}")
    return asked
