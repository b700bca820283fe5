"""How an engine comes to write text: from a question to an order, and to what carries it out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from rim_runtime.bundle.manifest import Manifest
from rim_runtime.bundle.roles import decoding
from rim_runtime.engines.cancellation import Cancellation
from rim_runtime.engines.decoders.decoder import Decoder
from rim_runtime.engines.late import Late
from rim_runtime.generate.author import Author
from rim_runtime.generate.order import Order, order_text
from rim_runtime.generate.sampling import Sampling
from rim_runtime.prompt.encoder import PromptEncoder
from rim_runtime.question import Question


@dataclass(frozen=True)
class TextGenerator:
    """Takes orders for texts; the first text opens the decoder."""

    manifest: Manifest
    encoder: PromptEncoder
    decoder: Late[Decoder]
    run: Callable[[], AbstractContextManager[None]]
    """Holds the engine open during a step. Raises EngineClosedError."""

    def order(
        self,
        question: str | Question,
        blocks: int | None,
        max_tokens: int | None,
        stop: str | Iterable[str],
        sampling: Sampling,
    ) -> Order:
        """Return what is to be written. Raises InputError and QuestionError."""
        start = time.perf_counter()
        contract = self.manifest.prompt
        count = contract.check_blocks(contract.blocks if blocks is None else blocks)
        asked = question if isinstance(question, Question) else Question(question)
        prompt = self.encoder.compose_text(asked.rendered(), count)
        room = self.manifest.limits.model_positions - len(prompt)
        order = order_text(prompt, count, room, max_tokens, stop, sampling)
        return dataclasses.replace(order, prepared_s=time.perf_counter() - start)

    def author(self, cancel: Cancellation | None) -> Author:
        """Return what writes, with the decoder opened. Raises what opening it does, and EngineClosedError."""
        found = decoding(self.manifest)
        assert found is not None, "check_roles refuses a decoder without it"
        with self.run():
            return Author(self.decoder.get(cancel), found, self.encoder, self.manifest.name, self.run)
