"""Answers that a checkpoint writes, in torch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rim_edge.data.boxes import boxed_text
from rim_edge.evaluation.checkpoint_answers import readout_prompt
from rim_edge.evaluation.decoding import GREEDY, NO_STEPS, Chooser, Decoding, LatentSteps, decoded
from rim_edge.evaluation.extraction import Found, anywhere, behind_prefix
from rim_edge.evaluation.items import Item
from rim_edge.evaluation.latent_model import LatentModel
from rim_edge.evaluation.reading import Given
from rim_edge.evaluation.way import Manner, Way
from rim_edge.methods.encoder import TextEncoder


@dataclass(frozen=True)
class CheckpointTexts:
    """Writes answers with a model."""

    model: Any
    encoder: TextEncoder
    manner: Manner
    latent: LatentModel | None = None
    """What the model does before it writes, where it takes latent steps."""

    def positions(self, item: Item, way: Way, blocks: int) -> int:
        """Return the positions that an item takes before its text."""
        steps = self._steps(way)
        return len(self.prompt(item, way, blocks)) + steps.count + len(steps.end)

    def prompt(self, item: Item, way: Way, blocks: int) -> tuple[int, ...]:
        """Return the ids of an item as it is asked."""
        question = self.manner.asked(item.question)
        if way.has_blocks:
            return readout_prompt(self.encoder, question, blocks)
        if way is Way.LATENT and self.latent is not None:
            return self.latent.prompt(question)
        return self.encoder.prompt(question)

    def write(self, items: Sequence[Item], way: Way, blocks: int) -> list[Given]:
        """Return the likeliest texts' answers, and those of the texts that are drawn."""
        if self.manner.one_by_one:
            return [self._alone(item, way, blocks) for item in items]
        prompts = [self.prompt(item, way, blocks) for item in items]
        written = self._decoded(prompts, way, GREEDY)
        return [self._given(ids, item, way, blocks) for ids, item in zip(written, items, strict=True)]

    def _alone(self, item: Item, way: Way, blocks: int) -> Given:
        times: list[float] = []
        start = time.perf_counter()
        listening = Decoding(on_token=lambda: times.append(time.perf_counter() - start))
        (ids,) = self._decoded([self.prompt(item, way, blocks)], way, listening)
        full_ms = 1000 * (time.perf_counter() - start)
        return self._given(ids, item, way, blocks, (1000 * times[0], full_ms))

    def _given(
        self,
        ids: Sequence[int],
        item: Item,
        way: Way,
        blocks: int,
        times: tuple[float | None, float | None] = (None, None),
    ) -> Given:
        text = self.encoder.decode(ids)
        found = self._found(text, item, way)
        is_long = len(ids) == self.manner.tokens_of(way)
        return Given(
            answer=found.answer,
            text=text,
            mark=found.mark,
            tokens=len(ids),
            cut=is_long and not self._is_closed(ids, way),
            first_ms=times[0],
            full_ms=times[1],
            samples=self._samples(item, way, blocks),
        )

    def _samples(self, item: Item, way: Way, blocks: int) -> tuple[str, ...]:
        draws = self.manner.draws
        if draws is None:
            return ()
        prompts = draws.samples * [self.prompt(item, way, blocks)]
        written = self._decoded(prompts, way, Decoding(choose=Chooser(draws)))
        return tuple(self._found(self.encoder.decode(ids), item, way).answer for ids in written)

    def _decoded(self, prompts: Sequence[Sequence[int]], way: Way, decoding: Decoding) -> list[list[int]]:
        ending = Decoding(decoding.choose, lambda ids: self._is_closed(ids, way), decoding.on_token)
        most = self.manner.tokens_of(way)
        return decoded(self.model, prompts, self.encoder.end_of_turn, most, ending, self._steps(way))

    def _steps(self, way: Way) -> LatentSteps:
        return self.latent.steps if way is Way.LATENT and self.latent is not None else NO_STEPS

    def _is_closed(self, ids: Sequence[int], way: Way) -> bool:
        """Whether the box that the answer prefix opens is closed again."""
        if way is not Way.OPEN:
            return False
        text = self.encoder.decode(ids)
        return boxed_text(text) != text

    def _found(self, text: str, item: Item, way: Way) -> Found:
        if way is Way.OPEN:
            return behind_prefix(text, item)
        return anywhere(text, item, self.encoder.contract.prefix_text)
