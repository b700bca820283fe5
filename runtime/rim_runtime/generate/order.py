"""What is to be written, checked before anything is."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass
from typing import SupportsIndex

from rim_runtime.errors import InputError, QuestionError
from rim_runtime.generate.latent import NO_LATENT, LatentSteps
from rim_runtime.generate.sampling import MOST_SAMPLES, Sampling
from rim_runtime.generate.stops import as_stops

USUAL_TOKENS = 256
"""Tokens of a text at most, unless a number is given."""


@dataclass(frozen=True)
class Order:
    """What is to be written."""

    prompt: tuple[int, ...]
    """Token ids of the whole prompt."""
    blocks: int
    """Memory blocks in it."""
    max_tokens: int
    """Tokens after which a text ends."""
    stops: tuple[str, ...]
    """Texts at which it ends."""
    sampling: Sampling
    """How tokens are drawn."""
    prefix: str = ""
    """The answer prefix that the text goes on after, if there is one; the text ends where its box is closed."""
    latent: LatentSteps = NO_LATENT
    """Latent steps between the prompt and the text."""
    prepared_s: float = 0.0
    """Seconds it took to read the question."""

    @property
    def capacity(self) -> int:
        """Tokens of the longest text, with its prompt and its latent steps."""
        return len(self.prompt) + self.latent.positions + self.max_tokens


def order_text(
    prompt: tuple[int, ...],
    blocks: int,
    room: int,
    max_tokens: SupportsIndex | None,
    stop: str | Iterable[str],
    sampling: Sampling,
    latent: LatentSteps = NO_LATENT,
) -> Order:
    """Return what is to be written after a prompt, where the model has positions for `room` tokens more.

    `max_tokens` None: `USUAL_TOKENS`, or as many as there is room for. Raises InputError for values that are none,
    and QuestionError where the tokens have no room.
    """
    taken = len(prompt) + latent.positions
    room -= latent.positions
    count = min(USUAL_TOKENS, max(1, room)) if max_tokens is None else _count("max_tokens", max_tokens)
    if count > room:
        raise QuestionError(
            f"The prompt has {taken:,} tokens, and an answer of {count:,} more does not fit: the model has "
            f"{taken + room:,} positions. Ask for at most {max(0, room):,} tokens, or shorten the question."
        )
    if not isinstance(sampling, Sampling):
        raise InputError(f"sampling is {sampling!r}, expected a Sampling(temperature, top_p, seed).")
    return Order(prompt, blocks, count, as_stops(stop), sampling, latent=latent)


def as_count(value: SupportsIndex) -> int:
    """Return a number of samples as an int. Raises InputError unless it is a whole number from 1 to the limit."""
    count = _count("count", value)
    if count > MOST_SAMPLES:
        raise InputError(f"count is {count}, expected {MOST_SAMPLES:,} at most. Ask again with another seed.")
    return count


def no_decoder(bundle: str) -> InputError:
    """Return the error of a bundle that is asked for text and answers with letters alone."""
    return InputError(
        f"The bundle {bundle} answers with letters alone, expected one that writes text. Export it with: "
        "rim-edge export --answers text"
    )


def _count(name: str, value: SupportsIndex) -> int:
    try:
        count = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        count = -1
    if count < 1:
        raise InputError(f"{name} is {value!r}, expected a whole number from 1.")
    return count
