"""Training examples."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """A piece of text behind the prompt."""

    text: str
    """The text, tokenized by itself."""
    labelled: bool
    """Whether the model is trained to say it; otherwise it only reads it."""


@dataclass(frozen=True)
class Example:
    """One question with the steps to its answer."""

    question: str
    """The user's text, options included."""
    steps: tuple[str, ...]
    """The written steps, without the answer; may be empty."""
    answer: str
    """What stands in the box."""
    spans: tuple[Span, ...] = ()
    """For a text stage: what stands between prompt and answer; without spans, the steps."""
