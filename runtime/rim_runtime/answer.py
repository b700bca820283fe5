"""An answer, and how one letter is read from the letters' logits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from rim_runtime.bundle.manifest import Precision


class LetterValues(dict[str, float]):
    """A number for each letter: a dict that cannot be altered and can be hashed; JSON and pickle take it."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[type[LetterValues], tuple[dict[str, float]]]:
        return LetterValues, (dict(self),)

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("An answer's numbers cannot be altered; copy them: dict(answer.probabilities)")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse


@dataclass(frozen=True)
class Answer:
    """What the model answered, and which engine ran. `str(answer)` is the letter. Nothing in it can be altered."""

    letter: str
    """The offered letter with the highest logit."""
    choice: str | None
    """Text of that option; None where the question has no options."""
    probabilities: Mapping[str, float]
    """Probability of each offered letter; they sum to 1. Without options, all letters are offered."""
    letter_logits: Mapping[str, float]
    """The model's raw logits of all its letters."""
    confidence: float
    """The letter's share among the offered letters; not calibrated. It says how clearly the model prefers the
    letter to the others, not how probable it is that the letter is right: a model can be sure and wrong."""
    lead: float
    """The letter's probability minus the next offered letter's, 0 to 1; not calibrated either. A small lead means
    that the model has no clear answer, however many letters there are."""
    blocks: int
    """Memory blocks used."""
    engine: str
    """The engine that ran."""
    precision: Precision
    """The number format it ran in."""
    bundle: str
    """The bundle's name."""
    latency_ms: float
    """Milliseconds from text to answer; in a batch, this row's share of them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "probabilities", LetterValues(self.probabilities))
        object.__setattr__(self, "letter_logits", LetterValues(self.letter_logits))

    def __str__(self) -> str:
        return self.letter


def read_letters(
    logits: NDArray[np.float32], letters: Sequence[str], offered: Sequence[str]
) -> tuple[str, dict[str, float]]:
    """Return the best offered letter and the offered letters' probabilities.

    `logits` is float32 [letters], in the order of `letters`; all must be finite. If `offered` is empty, all
    letters are offered. Of equal logits the first letter wins.
    """
    values = {letter: float(logit) for letter, logit in zip(letters, logits, strict=True)}
    among = {letter: values[letter] for letter in (offered or letters)}
    top = max(among.values())
    weights = {letter: math.exp(value - top) for letter, value in among.items()}
    total = sum(weights.values())
    probabilities = {letter: weight / total for letter, weight in weights.items()}
    return max(among, key=among.__getitem__), probabilities


def lead_of(probabilities: Mapping[str, float]) -> float:
    """Return how much more probable the best letter is than the next one; a lone letter leads by all it has."""
    first, second, *_ = sorted((*probabilities.values(), 0.0), reverse=True)
    return first - second
