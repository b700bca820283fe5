"""A letter that is read from generated text, as the published model's own example reads it.

The model card of OpenMed-qwen3-1.7b-RIM decodes 8 tokens behind blocks and prefix, the likeliest each, and takes
the first of the letters A to J in them. The one-pass readout compares the letters' logits at the first of these
tokens alone. Where that token is a bare letter, both read the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rim_runtime.generate.text import Text
from rim_runtime.prompt.options import LETTERS

READOUT_TOKENS = 8
"""Tokens that are decoded."""


class Readout(StrEnum):
    """How a letter is read."""

    SINGLE_PASS = "single-pass"
    """The letters' logits are compared, behind blocks and prefix."""
    GENERATE = "generate"
    """It is the first one in the text that is generated there."""


@dataclass(frozen=True)
class GeneratedAnswer:
    """What was read from generated text. Nothing in it can be altered."""

    letter: str | None
    """The first of the letters A to J in the text, offered or not; None where it has none."""
    choice: str | None
    """Text of that option; None where the question does not offer it."""
    bare: bool
    """Whether the first token is a letter by itself. Then the one-pass readout reads the same letter, if the
    question offers it."""
    generated: Text
    """All that was generated."""


def first_letter(text: str) -> str | None:
    """Return the first of the letters A to J in a text, inside of words too; None if there is none."""
    return next((sign for sign in text if sign in LETTERS), None)


def bare_letter(tokens: Sequence[int], letters: Mapping[str, int]) -> str | None:
    """Return the letter that the first of the tokens is by itself; None if it is another token, or there is none.

    `letters` are the letters' token ids, as `Manifest.letters`: those that the one-pass readout compares.
    """
    return next((letter for letter, token in letters.items() if list(tokens[:1]) == [token]), None)
