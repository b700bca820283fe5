"""Read answers of a checkpoint, in torch: letters, texts, and the controls that a bundle cannot have."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from rim_export.checkpoint.folder import Checkpoint
from rim_runtime.errors import InputError

from rim_edge.evaluation.arithmetic import Arithmetic
from rim_edge.evaluation.checkpoint_answers import (
    LetterLogits,
    best_letters,
    chains_read,
    letter_logits,
    letter_shares,
    open_checkpoint,
)
from rim_edge.evaluation.exchanged_blocks import exchanged_letters
from rim_edge.evaluation.items import Item
from rim_edge.evaluation.latent_model import LatentModel, read_latent_model
from rim_edge.evaluation.readers.checkpoint_texts import CheckpointTexts
from rim_edge.evaluation.readers.every_budget import letters_by_budget
from rim_edge.evaluation.reading import Given, Kind, Reading, Subject
from rim_edge.evaluation.shuffled_blocks import shuffled_letters
from rim_edge.evaluation.way import Manner, Way
from rim_edge.methods.encoder import TextEncoder

_Found = TypeVar("_Found")
_ReadOfOthers = Callable[[Any, TextEncoder, Sequence[Item], Sequence[Item], int], list[_Found]]
_TOGETHER = 64
"""Items of a part; each is asked with every number of blocks before the next part begins."""


@dataclass(frozen=True)
class OpenModel:
    """A checkpoint that is loaded."""

    model: Any
    """In the arithmetic of the subject."""
    encoder: TextEncoder
    """Its prompts."""
    subject: Subject
    """What it is."""
    latent: LatentModel | None = None
    """What it does before it writes, where it takes latent steps."""


def open_model(folder: Path, arithmetic: Arithmetic) -> OpenModel:
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
    return OpenModel(model, encoder, subject, read_latent_model(checkpoint, encoder, model))


class CheckpointReader:
    """Reads answers of a model."""

    def __init__(
        self,
        opened: OpenModel,
        manner: Manner | None = None,
        chain: int | None = None,
        *,
        each_block: bool = False,
    ) -> None:
        """`chain` is how many tokens written steps may have beside the answers; None: none are written.

        `each_block`: each block alone is exchanged for another item's, too. Raises InputError for a way that a
        checkpoint cannot be asked in.
        """
        self.subject, self._manner = opened.subject, manner or Manner()
        way = self._manner.way
        if way is Way.LATENT and opened.latent is None:
            raise InputError(
                f"The checkpoint {self.subject.name} takes no latent steps: there is no projection head, and no "
                'entry "latent" in its config.json. Ask in another way: --as letter, open, chain or zero-shot'
            )
        if self._manner.permute:
            raise InputError("--permute asks a bundle. Export the checkpoint, and score its bundle.")
        self._model, self._encoder, self._chain = opened.model, opened.encoder, chain
        self._each_block = each_block
        self.blocks = self._encoder.contract.blocks if way is None or way.has_blocks else 0
        self.at_once = 1 if self._manner.one_by_one else _TOGETHER
        self._texts = CheckpointTexts(self._model, self._encoder, self._manner, opened.latent)
        self._positions: int = self._model.config.max_position_embeddings

    def refusal(self, item: Item) -> str | None:
        """Return why an item cannot be asked; None if it can."""
        way = self._manner.way_of(item)
        if way is Way.LETTER and not item.letters:
            return "answered with text, and a letter is read (--as open writes)"
        if self._needed(item, way) > self._positions:
            return f"longer than the model's {self._positions:,} positions"
        return None

    def _needed(self, item: Item, way: Way) -> int:
        """Return the positions that an item takes with its answer; what is far beyond is not even encoded."""
        question = self._manner.asked(item.question)
        if (least := self._encoder.least_tokens(question)) > self._positions:
            return least
        written = 0 if way is Way.LETTER else self._manner.tokens_of(way)
        return self._texts.positions(item, way, self._encoder.contract.blocks) + written

    def read(self, items: Sequence[Item], others: Sequence[Item | None], budgets: range) -> list[Reading]:
        """Return what is read of each item, each in its own way."""
        found: list[dict[int, Given]] = [{} for _ in items]
        first: dict[int, bool] = {}
        for way in dict.fromkeys(map(self._manner.way_of, items)):
            places = [place for place, item in enumerate(items) if self._manner.way_of(item) is way]
            asked = [items[place] for place in places]
            if way is Way.LETTER:
                by_blocks, are_letters = self._letters(asked, budgets)
                first.update(zip(places, are_letters, strict=True))
            else:
                by_blocks = {blocks: self._texts.write(asked, way, blocks) for blocks in budgets}
            for blocks, given in by_blocks.items():
                for place, one in zip(places, given, strict=True):
                    found[place][blocks] = one
        shuffled = self._of_others(shuffled_letters, items, others, budgets[-1])
        exchanged = self._of_others(exchanged_letters, items, others, budgets[-1]) if self._each_block else {}
        chains = self._chains(items)
        return [
            Reading(
                by_blocks,
                shuffled.get(place),
                chains[place],
                first_is_letter=first.get(place),
                exchanged=exchanged.get(place),
            )
            for place, by_blocks in enumerate(found)
        ]

    def _letters(self, items: Sequence[Item], budgets: range) -> tuple[dict[int, list[Given]], list[bool]]:
        """Return what is read of each item by blocks, and whether the likeliest token of all is a letter.

        The latter with the most blocks.
        """
        asked = [self._asked(item) for item in items]
        if self._manner.one_by_one:
            by_blocks = {blocks: [self._timed(item, blocks) for item in asked] for blocks in budgets}
            alone = {blocks: [given for given, _ in read] for blocks, read in by_blocks.items()}
            return alone, [first for _, first in by_blocks[budgets[-1]]]
        read = letters_by_budget(self._model, self._encoder, asked, budgets)
        return {blocks: _given(one, asked) for blocks, one in read.items()}, read[budgets[-1]].first.tolist()

    def _timed(self, item: Item, blocks: int) -> tuple[Given, bool]:
        """Ask one item in a pass of its own, and time it."""
        start = time.perf_counter()
        read = letter_logits(self._model, self._encoder, [item], blocks)
        (found,) = _given(read, [item])
        ms = 1000 * (time.perf_counter() - start)
        return Given(found.answer, found.probabilities, first_ms=ms, full_ms=ms), bool(read.first[0])

    def _asked(self, item: Item) -> Item:
        return Item(self._manner.asked(item.question), item.answer, item.letters)

    def _of_others(
        self, read: _ReadOfOthers[_Found], items: Sequence[Item], others: Sequence[Item | None], blocks: int
    ) -> dict[int, _Found]:
        """Return what is read with blocks of other items, by the place of the item."""
        pairs = {place: other for place, other in enumerate(others) if other is not None}
        if not pairs or self._manner.way not in (None, Way.LETTER):
            return {}
        asked = [self._asked(items[place]) for place in pairs]
        donors = [self._asked(other) for other in pairs.values()]
        found = read(self._model, self._encoder, asked, donors, blocks)
        return dict(zip(pairs, found, strict=True))

    def _chains(self, items: Sequence[Item]) -> Sequence[str | None]:
        if self._chain is None:
            return [None] * len(items)
        return chains_read(self._model, self._encoder, items, self._chain)


def _given(read: LetterLogits, items: Sequence[Item]) -> list[Given]:
    found = zip(best_letters(read.logits, items), letter_shares(read.logits, items), strict=True)
    return [Given(letter, shares) for letter, shares in found]
