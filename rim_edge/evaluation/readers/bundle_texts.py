"""Answers that a bundle writes, one question at a time."""

from __future__ import annotations

from dataclasses import dataclass

from rim_runtime.engine import Engine
from rim_runtime.errors import QuestionError
from rim_runtime.generate.sampling import Sampling
from rim_runtime.generate.stream import TextStream
from rim_runtime.generate.text import Ended, Text
from rim_runtime.question import Question

from rim_edge.evaluation.extraction import Found, anywhere, behind_prefix
from rim_edge.evaluation.items import Item
from rim_edge.evaluation.reading import Given
from rim_edge.evaluation.way import Manner, Way


@dataclass(frozen=True)
class BundleTexts:
    """Writes answers with an engine's decoder."""

    engine: Engine
    manner: Manner

    def has_room(self, question: Question, way: Way) -> bool:
        """Whether an answer to a question fits. Raises the QuestionError of one that cannot be asked at all."""
        blocks = self.engine.manifest.prompt.blocks if way.has_blocks else 0
        self.engine.generate(question, blocks=blocks, max_tokens=1).close()
        try:
            self._stream(question, way, blocks).close()
        except QuestionError:
            return False
        return True

    def write(self, question: Question, item: Item, way: Way, blocks: int) -> Given:
        """Return the likeliest text's answer, and those of the texts that are drawn."""
        text = self._stream(question, way, blocks).result()
        found = self._found(text, item, way)
        return Given(
            answer=found.answer,
            text=text.text,
            mark=found.mark,
            tokens=len(text.tokens),
            cut=text.ended is Ended.LIMIT,
            first_ms=text.first_token_ms if self.manner.one_by_one else None,
            full_ms=text.latency_ms if self.manner.one_by_one else None,
            samples=tuple(self._found(one, item, way).answer for one in self._drawn(question, way, blocks)),
        )

    def _drawn(self, question: Question, way: Way, blocks: int) -> list[Text]:
        draws = self.manner.draws
        if draws is None:
            return []
        sampling = Sampling(draws.temperature, draws.top_p, draws.seed)
        return self.engine.sample(
            question,
            draws.samples,
            blocks=blocks,
            max_tokens=self.manner.tokens_of(way),
            sampling=sampling,
        )

    def _stream(self, question: Question, way: Way, blocks: int) -> TextStream:
        return self.engine.generate(question, blocks=blocks, max_tokens=self.manner.tokens_of(way))

    def _found(self, text: Text, item: Item, way: Way) -> Found:
        if way is Way.OPEN:
            return behind_prefix(text.text, item)
        return anywhere(text.text, item, self.engine.manifest.prompt.prefix_text)
