"""A question as it is asked, an answer as it comes back, and how letters' logits become one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rim_runtime.errors import QuestionError
from rim_runtime.manifest import Precision
from rim_runtime.options import LETTERS, offered_options, render_options


@dataclass(frozen=True)
class Question:
    """A question, with its options in its text or as a list, or with none."""

    text: str
    """The question; lines `A: …`, `B: …` at its end are its options."""
    choices: Sequence[str] = ()
    """The options, two to ten, where they are not in the text."""

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise QuestionError(f"The question is a {type(self.text).__name__}, expected a text.")
        if isinstance(self.choices, str) or not all(isinstance(choice, str) for choice in self.choices):
            raise QuestionError(f"The choices are {self.choices!r}, expected a list of texts.")
        object.__setattr__(self, "choices", tuple(self.choices))

    def rendered(self) -> str:
        """Return the whole text that the model sees, choices included. Raises QuestionError."""
        if not self.text.strip():
            raise QuestionError("The question is empty, expected some text. Write the question in quotes.")
        return render_options(self.text, self.choices) if self.choices else self.text

    def offered(self) -> Mapping[str, str]:
        """Return the options as `{letter: text}`; empty where the question has none."""
        return dict(zip(LETTERS, self.choices, strict=False)) if self.choices else offered_options(self.text)


@dataclass(frozen=True)
class Answer:
    """What the model answered, and what ran. `str(answer)` is the letter."""

    letter: str
    """The offered letter with the highest logit."""
    choice: str | None
    """Text of that option; None where the question has no options."""
    probabilities: Mapping[str, float]
    """Probability of each offered letter; they add up to 1. Without options all letters are offered."""
    letter_logits: Mapping[str, float]
    """The model's raw logits of all its letters."""
    confidence: float
    """The chosen letter's probability among the offered ones: how clearly the model prefers it to the others.
    It is not calibrated: no measured chance of being right, and a model can be sure and wrong."""
    blocks: int
    """Memory blocks used."""
    engine: str
    """The engine that ran."""
    precision: Precision
    """The number format it ran in."""
    bundle: str
    """The bundle's name."""
    latency_ms: float
    """Milliseconds from text to answer; of a batch, this row's share of them."""

    def __str__(self) -> str:
        return self.letter


def read_letters(
    logits: NDArray[np.float32], letters: Sequence[str], offered: Sequence[str]
) -> tuple[str, dict[str, float]]:
    """Return the best offered letter and the offered letters' probabilities.

    `logits` is float32 [letters], in the order of `letters`; with nothing offered, all letters are. All must
    be finite. Of equal logits the first letter wins.
    """
    values = {letter: float(logit) for letter, logit in zip(letters, logits, strict=True)}
    among = {letter: values[letter] for letter in (offered or letters)}
    top = max(among.values())
    weights = {letter: math.exp(value - top) for letter, value in among.items()}
    total = sum(weights.values())
    probabilities = {letter: weight / total for letter, weight in weights.items()}
    return max(among, key=among.__getitem__), probabilities
