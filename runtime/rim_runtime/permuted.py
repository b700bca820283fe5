"""One question with its options in every order of a rotation: a liking for one place cancels.

Each option stands once in every place, and its probability is the mean over the orders (as a self-ensemble over
permutations; the bias: Zheng et al. 2023, arXiv 2309.03882).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from rim_runtime.answer import Answer, lead_of
from rim_runtime.engine import Engine
from rim_runtime.engines.cancellation import Cancellation
from rim_runtime.errors import QuestionError
from rim_runtime.prompt.options import LETTERS, offered_options
from rim_runtime.question import Question


@dataclass(frozen=True)
class PermutedAnswer:
    """An answer over all orders of a rotation."""

    answer: Answer
    """Its letters are those of the question's own order; `letter_logits` are of that order alone."""
    orders: tuple[str, ...]
    """The letter of the option that was answered in each order, in the question's own letters."""

    @property
    def agreement(self) -> float:
        """The share of the orders in which this option was answered."""
        return self.orders.count(self.answer.letter) / len(self.orders)


def ask_permuted(
    engine: Engine, question: Question, *, blocks: int | None = None, cancel: Cancellation | None = None
) -> PermutedAnswer:
    """Ask a question once for each of its options, in one batch.

    Raises QuestionError where its options are not known one by one, and what `Engine.ask_many` raises.
    """
    text, options = separated(question)
    count = len(options)
    orders = [Question(text, (*options[place:], *options[:place])) for place in range(count)]
    answers = engine.ask_many(orders, blocks=blocks, cancel=cancel)
    shares = {LETTERS[place]: _mean(answers, place) for place in range(count)}
    letter = max(shares, key=shares.__getitem__)
    answer = dataclasses.replace(
        answers[0],
        letter=letter,
        choice=options[LETTERS.index(letter)],
        probabilities=shares,
        confidence=shares[letter],
        lead=lead_of(shares),
        latency_ms=sum(one.latency_ms for one in answers),
    )
    said = (LETTERS[(LETTERS.index(one.letter) + place) % count] for place, one in enumerate(answers))
    return PermutedAnswer(answer, tuple(said))


def separated(question: Question) -> tuple[str, tuple[str, ...]]:
    """Return a question's text without its options, and the options. Raises QuestionError where it has none."""
    if question.choices:
        return question.text, tuple(question.choices)
    found = offered_options(question.text) if question.choices is None else {}
    if not found:
        raise QuestionError(
            "The question's options cannot be put in another order: it ends in no lines 'A: text', 'B: text', …. "
            "Give the options as a list of choices."
        )
    lines = question.text.rstrip().split("\n")
    return "\n".join(lines[: -len(found)]), tuple(found.values())


def _mean(answers: Sequence[Answer], place: int) -> float:
    """Return an option's mean probability; in order k it stands k places further up."""
    count = len(answers)
    return sum(one.probabilities[LETTERS[(place - order) % count]] for order, one in enumerate(answers)) / count
