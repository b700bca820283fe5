"""The latent contract of a checkpoint: how many latent steps it takes before a text, and what stands around them.

config.json says it in `"latent"`; the cards of QThink's checkpoints say it in words alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from rim_export.errors import CheckpointError

CARD_STEPS = 6
"""K of QThink's cards."""
CARD_INSTRUCTION = (
    "Solve the following math problem step by step. Show your work and put your final numerical answer after "
    "####.\n\n"
)
"""What stands before each question of QThink's cards on GSM8K."""


@dataclass(frozen=True)
class LatentSettings:
    """What a checkpoint, or whoever exports it, says of its latent steps."""

    steps: int = CARD_STEPS
    """K, as it was trained."""
    begin: tuple[str, ...] = ()
    """Tokens between the prompt and the first latent step."""
    end: tuple[str, ...] = ()
    """Tokens between the last latent step and the text; without any, that step's logits give the first token."""
    instruction: str = ""
    """What stands before each question, in the same turn."""
    head: str | None = None
    """File of the projection head, in the checkpoint's folder; None: one of the usual names, or no head."""

    def __post_init__(self) -> None:
        if type(self.steps) is not int or self.steps < 1:
            raise CheckpointError(f"latent.steps is {self.steps!r}, expected a whole number of at least 1.")
        for name in ("begin", "end"):
            value = getattr(self, name)
            if not isinstance(value, tuple) or not all(isinstance(token, str) for token in value):
                raise CheckpointError(f"latent.{name} is {value!r}, expected a list of tokens.")
        if not isinstance(self.instruction, str):
            raise CheckpointError(f"latent.instruction is {self.instruction!r}, expected a text.")
        if self.head is not None and not isinstance(self.head, str):
            raise CheckpointError(f"latent.head is {self.head!r}, expected a file in the checkpoint's folder.")
        if self.head is not None and Path(self.head).name != self.head:
            raise CheckpointError(
                f"config.json names the projection head {self.head!r}, expected a plain name of a file beside it."
            )

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> LatentSettings | None:
        """Read the `"latent"` entry of a config.json; None if there is none. Unknown keys are an error."""
        entry = config.get("latent")
        if entry is None:
            return None
        known = {field.name for field in fields(cls)}
        if not isinstance(entry, Mapping) or not set(entry) <= known:
            raise CheckpointError(f'config.json has "latent": {entry!r}, expected the keys {sorted(known)} only.')
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()
        }
        return cls(**values)


def token_ids(tokenizer: Any, tokens: tuple[str, ...]) -> tuple[int, ...]:
    """Return the ids of tokens. Raises CheckpointError naming those the tokenizer lacks."""
    vocabulary = tokenizer.get_vocab()
    missing = [token for token in tokens if token not in vocabulary]
    if missing:
        raise CheckpointError(
            f"The tokenizer has no token {', '.join(map(repr, missing))}, which config.json names for the latent "
            'steps ("latent"). Copy the tokenizer that the model was trained with.'
        )
    return tuple(int(vocabulary[token]) for token in tokens)
