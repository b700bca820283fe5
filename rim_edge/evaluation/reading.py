"""What is scored, and what reads its answers: a bundle or a checkpoint. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

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
class Reading:
    """What was read as the answers to one item."""

    by_blocks: Mapping[int, str]
    """By the number of memory blocks."""
    probabilities: Mapping[str, float] | None
    """The offered letters' with the most blocks of these, not calibrated; None for an open answer."""
    shuffled: str | None = None
    """With the most blocks, computed for another question; None where that was not asked."""
    chain: str | None = None
    """After written steps; None where that was not asked."""


class Reader(Protocol):
    """Reads answers of a bundle or a checkpoint."""

    @property
    def subject(self) -> Subject:
        """What it reads from."""

    @property
    def blocks(self) -> int:
        """How many memory blocks there are, K."""

    def refusal(self, item: Item) -> str | None:
        """Return why an item cannot be asked, in words that fit many items; None if it can."""

    def read(self, items: Sequence[Item], others: Sequence[Item | None], budgets: range) -> list[Reading]:
        """Return what is read of each item with each number of blocks.

        `others` has for each item the one whose blocks it gets as a control, or None.
        """
