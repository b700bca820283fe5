"""What writes the texts of one bundle: its decoder and its tokenizer, held open while they work."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from rim_runtime.bundle.roles import Decoding
from rim_runtime.engines.backend import Floats
from rim_runtime.engines.cancellation import Cancellation
from rim_runtime.engines.decoders.decoder import Decoder, DecoderState, Step
from rim_runtime.generate.order import Order
from rim_runtime.generate.text import Text
from rim_runtime.generate.writing import Writing
from rim_runtime.prompt.encoder import PromptEncoder


@dataclass(frozen=True)
class Author:
    """What writes the texts of one bundle."""

    decoder: Decoder
    """Its decoder, loaded."""
    decoding: Decoding
    """What the manifest says of it."""
    encoder: PromptEncoder
    """The tokenizer."""
    bundle: str
    """The bundle's name."""
    run: Callable[[], AbstractContextManager[None]]
    """Holds the decoder open during a step. Raises EngineClosedError."""

    def begin(self, order: Order, sample: int = 0) -> Writing:
        """Return a new text, of which nothing is written."""
        return Writing(order, self.encoder, self.decoding, sample)

    def read(self, order: Order, cancel: Cancellation | None) -> tuple[DecoderState, Step]:
        """Read the prompt and take its latent steps; the step says what the first token is."""
        with self.run():
            state, step = self.decoder.start(order.prompt, order.capacity, cancel)
        return state, order.latent.take(self.decoder, state, step, self.run, cancel)

    def take(self, writing: Writing, logits: Floats) -> str:
        """Write the next token of a text."""
        return writing.take(logits, self.decoder.name, self.decoder.precision)

    def text(self, writing: Writing, order: Order, first_s: float, total_s: float) -> Text:
        """Return a text that has ended."""
        assert writing.ended is not None
        return Text(
            text=writing.text,
            tokens=tuple(writing.tokens),
            ended=writing.ended,
            prompt_tokens=len(order.prompt),
            blocks=order.blocks,
            latent_steps=order.latent.count,
            engine=self.decoder.name,
            precision=self.decoder.precision,
            bundle=self.bundle,
            first_token_ms=1000 * first_s,
            latency_ms=1000 * total_s,
        )
