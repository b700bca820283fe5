"""A text that a model wrote, and why it ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rim_runtime.bundle.manifest import Precision


class Ended(StrEnum):
    """Why a text ended."""

    STOP_TOKEN = "stop-token"
    """The model ended it."""
    STOP_TEXT = "stop-text"
    """It came to one of the texts at which it should stop."""
    ANSWER = "answer"
    """It closed the box that the answer prefix opens."""
    LIMIT = "limit"
    """It has as many tokens as were asked for."""


@dataclass(frozen=True)
class Text:
    """What the model wrote, and which engine ran. `str(text)` is the text. Nothing in it can be altered."""

    text: str
    """The text, without control tokens, and without the stop text, or the closing brace, at which it ended."""
    tokens: tuple[int, ...]
    """Ids of all that was written; the token that ended it is not among them."""
    ended: Ended
    """Why it ended."""
    prompt_tokens: int
    """Tokens of the prompt."""
    blocks: int
    """Memory blocks used."""
    latent_steps: int
    """Latent steps taken before the text."""
    engine: str
    """The engine that wrote it."""
    precision: Precision
    """The number format it ran in."""
    bundle: str
    """The bundle's name."""
    first_token_ms: float
    """Milliseconds from the question to the first token, without what the caller did meanwhile."""
    latency_ms: float
    """Milliseconds from the question to the end of the text; of several samples: of all."""

    def __str__(self) -> str:
        return self.text
