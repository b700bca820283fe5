"""In which way questions are asked, and what that needs. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rim_edge.evaluation.items import ANSWER_TOKENS, Item


class Way(StrEnum):
    """How an answer comes about."""

    LETTER = "letter"
    """The likeliest of the offered letters behind the blocks and the answer prefix, in one pass."""
    OPEN = "open"
    """Text behind the blocks and the answer prefix, up to the brace that closes the box."""
    CHAIN = "chain"
    """The model writes its steps after the bare prompt, then the answer."""
    LATENT = "latent"
    """Latent steps after the prompt, then text (QThink, Coconut, CODI)."""
    ZERO_SHOT = "zero-shot"
    """The model answers the bare prompt as in a chat, without blocks."""

    @property
    def has_blocks(self) -> bool:
        """Whether memory blocks follow the question."""
        return self in (Way.LETTER, Way.OPEN)


MOST_TOKENS = {Way.LETTER: 1, Way.OPEN: ANSWER_TOKENS, Way.CHAIN: 512, Way.LATENT: 2048, Way.ZERO_SHOT: 256}
"""Tokens of an answer at most, unless a number is given; QThink's card says 2,048."""


@dataclass(frozen=True)
class Draws:
    """Texts that are drawn beside the likeliest one, for pass@k."""

    samples: int
    """How many of each question."""
    temperature: float = 0.8
    """What logits are divided by, above 0."""
    top_p: float = 1.0
    """Only the likeliest tokens are drawn whose probabilities together reach this share."""
    seed: int = 0
    """The same seed draws the same texts."""


@dataclass(frozen=True)
class Manner:
    """How questions are asked: all that an answer depends on, besides the model and the question."""

    way: Way | None = None
    """None: the letter where a row has letters, an open answer where it has none."""
    max_tokens: int | None = None
    """Tokens of a text at most; None: the way's own limit."""
    instruction: str = ""
    """A text before each question, and an empty line after it."""
    one_by_one: bool = False
    """Whether each question is asked alone, so that its times are those that a user waits."""
    draws: Draws | None = None
    """Texts that are drawn for pass@k; None: none."""
    permute: bool = False
    """Whether a letter is the mean over all orders of a rotation of its options."""

    def way_of(self, item: Item) -> Way:
        """Return the way in which one item is asked."""
        return self.way or (Way.LETTER if item.letters else Way.OPEN)

    def tokens_of(self, way: Way) -> int:
        """Return how many tokens an answer has at most."""
        return self.max_tokens or MOST_TOKENS[way]

    def asked(self, question: str) -> str:
        """Return a question's text as it is asked."""
        return f"{self.instruction}\n\n{question}" if self.instruction else question
