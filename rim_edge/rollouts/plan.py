"""What `rim-edge rollouts` is asked for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rim_edge.data.rows import Example
from rim_edge.evaluation.way import Draws
from rim_edge.methods.qthink.teachers import question_key
from rim_edge.recipe.latent import LatentTraining

_FORMAT = 1
"""Grows when older folders can no longer be continued."""


@dataclass(frozen=True)
class RolloutPlan:
    """The rollouts of some questions."""

    model_sha256: str
    """SHA-256 of the weights that write."""
    examples: tuple[Example, ...]
    """The questions and their right answers; of equal questions the first counts."""
    latent: LatentTraining
    """How many states, and what stands before each question."""
    draws: Draws | None
    """How many texts are drawn of each question, and how; None: the row's own steps are the one rollout."""
    max_tokens: int
    """Tokens of a drawn text at most."""

    @property
    def questions(self) -> list[str]:
        """The questions' keys, in order."""
        return list(self.unique)

    @property
    def unique(self) -> dict[str, Example]:
        """The examples by their keys."""
        found: dict[str, Example] = {}
        for example in self.examples:
            found.setdefault(question_key(example.question), example)
        return found

    @property
    def name(self) -> str:
        """A hash of all that the texts depend on; the number of states is not part of it."""
        told = {
            "format": _FORMAT,
            "model": self.model_sha256,
            "rows": hashlib.sha256(repr(self.examples).encode()).hexdigest(),
            "instruction": self.latent.instruction,
            "draws": {"answer": self.latent.answer} if self.draws is None else asdict(self.draws),
            "max_tokens": self.max_tokens,
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class RolloutResult:
    """What a folder of rollouts holds."""

    folder: Path
    """The folder."""
    questions: int
    """Questions with rollouts."""
    rollouts: int
    """All rollouts."""
    right: int
    """Those with the right answer."""
    with_right: int
    """Questions with one such at least."""
    tokens: int
    """Tokens of all of them."""
