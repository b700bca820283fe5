"""Read answers of a checkpoint, in torch: letters, open answers, and the controls that a bundle cannot have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rim_export.checkpoint.folder import Checkpoint

from rim_edge.evaluation.arithmetic import Arithmetic
from rim_edge.evaluation.checkpoint_answers import (
    answers_read,
    best_letters,
    chains_read,
    letter_logits,
    letter_shares,
    open_checkpoint,
)
from rim_edge.evaluation.held_out import fits_positions
from rim_edge.evaluation.items import Item
from rim_edge.evaluation.reading import Kind, Reading, Subject
from rim_edge.evaluation.shuffled_blocks import shuffled_letters
from rim_edge.methods.rim.encode import ExampleEncoder


class CheckpointReader:
    """Reads answers of a model."""

    def __init__(self, model: Any, encoder: ExampleEncoder, subject: Subject, chain: int | None = None) -> None:
        """`chain` is how many tokens written steps may have; None: none are written."""
        self.subject = subject
        self.blocks = encoder.contract.blocks
        self._model, self._encoder, self._chain = model, encoder, chain
        self._positions: int = model.config.max_position_embeddings

    @classmethod
    def open(cls, folder: Path, arithmetic: Arithmetic, chain: int | None = None) -> CheckpointReader:
        """Load a checkpoint. Raises CheckpointError."""
        checkpoint = Checkpoint.open(folder)
        model, encoder = open_checkpoint(folder, arithmetic)
        subject = Subject(
            kind=Kind.CHECKPOINT,
            name=checkpoint.name,
            path=str(folder.absolute()),
            sha256=checkpoint.weights_sha256(),
            engine=f"torch {torch.__version__} on {arithmetic.device_name}",
            precision=arithmetic.precision,
        )
        return cls(model, encoder, subject, chain)

    def refusal(self, item: Item) -> str | None:
        """Return why an item cannot be asked; None if it can."""
        if not fits_positions(item, self._encoder, self._positions):
            return f"longer than the model's {self._positions:,} positions"
        return None

    def read(self, items: Sequence[Item], others: Sequence[Item | None], budgets: range) -> list[Reading]:
        """Return what is read of each item: letters and open answers, each in its own way."""
        by_blocks = {blocks: self._read(items, blocks) for blocks in budgets[:-1]}
        most = budgets[-1]
        letters = [place for place, item in enumerate(items) if item.letters]
        shares: dict[int, dict[str, float]] = {}
        by_blocks[most] = self._read([item for item in items if not item.letters], most)
        if letters:
            offered = [items[place] for place in letters]
            logits = letter_logits(self._model, self._encoder, offered, most)
            shares = dict(zip(letters, letter_shares(logits, offered), strict=True))
            for place, letter in zip(letters, best_letters(logits, offered), strict=True):
                by_blocks[most].insert(place, letter)
        shuffled = self._shuffled(items, others, most)
        chains = self._chains(items)
        return [
            Reading({blocks: read[place] for blocks, read in by_blocks.items()},
                    shares.get(place), shuffled.get(place), chains[place])
            for place in range(len(items))
        ]  # fmt: skip

    def _read(self, items: Sequence[Item], blocks: int) -> list[str]:
        return answers_read(self._model, self._encoder, items, blocks)

    def _shuffled(self, items: Sequence[Item], others: Sequence[Item | None], blocks: int) -> dict[int, str]:
        pairs = {place: other for place, other in enumerate(others) if other is not None}
        if not pairs:
            return {}
        asked = [items[place] for place in pairs]
        read = shuffled_letters(self._model, self._encoder, asked, list(pairs.values()), blocks)
        return dict(zip(pairs, read, strict=True))

    def _chains(self, items: Sequence[Item]) -> Sequence[str | None]:
        if self._chain is None:
            return [None] * len(items)
        return chains_read(self._model, self._encoder, items, self._chain)
