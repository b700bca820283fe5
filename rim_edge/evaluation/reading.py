"""What is scored, and what reads its answers: a bundle or a checkpoint. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from rim_edge.evaluation.extraction import Mark
from rim_edge.evaluation.items import Item


class Kind(StrEnum):
    """What is scored."""

    BUNDLE = "bundle"
    CHECKPOINT = "checkpoint"


@dataclass(frozen=True)
class Subject:
    """What is scored, and in which arithmetic: with the file's hash, all that a score depends on."""

    kind: Kind
    """A bundle or a checkpoint."""
    name: str
    """Its name."""
    path: str
    """Its folder."""
    sha256: str
    """SHA-256 of the bundle's manifest, or of the checkpoint's weights."""
    engine: str
    """What computed: an engine of the runtime, or torch and its device."""
    precision: str
    """The number format: the bundle's variant's, or of the checkpoint's arithmetic."""


@dataclass(frozen=True)
class Given:
    """The answer to one item with one number of memory blocks."""

    answer: str
    """In the form that items compare; empty where a text has none."""
    probabilities: Mapping[str, float] | None = None
    """The offered letters', not calibrated; None where the answer was written."""
    text: str | None = None
    """What was written; None where a letter was read."""
    mark: Mark | None = None
    """By what the answer was found in the text."""
    tokens: int = 1
    """Tokens that were written; a letter that was read counts as one."""
    cut: bool = False
    """Whether the text was ended by its limit."""
    first_ms: float | None = None
    """Milliseconds to the first token; None where the item was not asked alone."""
    full_ms: float | None = None
    """Milliseconds to the end."""
    samples: tuple[str, ...] = ()
    """Answers of the texts that were drawn."""


@dataclass(frozen=True)
class Reading:
    """What was read as the answers to one item."""

    by_blocks: Mapping[int, Given]
    """By the number of memory blocks."""
    shuffled: str | None = None
    """With the most blocks, computed for another question; None where that was not asked."""
    chain: str | None = None
    """After written steps; None where that was not asked."""
    first_is_letter: bool | None = None
    """Whether the likeliest token with the most blocks, of all tokens, is a letter by itself; None: not looked."""
    exchanged: Mapping[int, str] | None = None
    """With the most blocks, by the one of them that was computed for another question; None: not asked."""

    @property
    def last(self) -> Given:
        """The answer with the most blocks."""
        return self.by_blocks[max(self.by_blocks)]


class Reader(Protocol):
    """Reads answers of a bundle or a checkpoint."""

    @property
    def subject(self) -> Subject:
        """What it reads from."""

    @property
    def blocks(self) -> int:
        """How many memory blocks can be asked with, at most; 0 where the way has none."""

    @property
    def at_once(self) -> int:
        """How many items are read together, and are lost together where it is stopped."""

    def refusal(self, item: Item) -> str | None:
        """Return why an item cannot be asked, in words that fit many items; None if it can."""

    def read(self, items: Sequence[Item], others: Sequence[Item | None], budgets: range) -> list[Reading]:
        """Return what is read of each item with each number of blocks.

        `others` has for each item the one whose blocks it gets as a control, or None.
        """
