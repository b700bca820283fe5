"""How an engine comes to write text: from a question to an order, and to what carries it out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from rim_runtime.bundle.latent import Latent, latent_of
from rim_runtime.bundle.manifest import Manifest
from rim_runtime.bundle.roles import decoding
from rim_runtime.engines.cancellation import Cancellation, require_cancellation
from rim_runtime.engines.decoders.decoder import Decoder
from rim_runtime.engines.late import Late
from rim_runtime.generate.author import Author
from rim_runtime.generate.latent import choose_steps
from rim_runtime.generate.order import Order, order_text
from rim_runtime.generate.readout import READOUT_TOKENS, GeneratedAnswer, bare_letter, first_letter
from rim_runtime.generate.sampling import LIKELIEST, Sampling
from rim_runtime.generate.stream import TextStream
from rim_runtime.prepared import PreparedQuestions
from rim_runtime.prompt.contract import TextForm
from rim_runtime.prompt.encoder import PromptEncoder
from rim_runtime.question import Question


@dataclass(frozen=True)
class TextGenerator:
    """Orders texts, and reads letters from them; the first text opens the decoder."""

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
        latent_steps: int | None = None,
    ) -> Order:
        """Return what is to be written. Raises InputError and QuestionError."""
        start = time.perf_counter()
        contract = self.manifest.prompt
        count = contract.check_blocks(contract.blocks if blocks is None else blocks)
        asked = question if isinstance(question, Question) else Question(question)
        latent = latent_of(self.manifest) if asked.form is TextForm.MODEL else None
        steps = choose_steps(latent, latent_steps, self.manifest.name)
        prompt = self._prompt(asked, count, latent)
        room = self.manifest.limits.model_positions - len(prompt)
        order = order_text(prompt, count, room, max_tokens, stop, sampling, steps)
        seconds = time.perf_counter() - start
        return dataclasses.replace(order, prefix=contract.text_prefix(asked.form), prepared_s=seconds)

    def letter(self, asked: PreparedQuestions, cancel: Cancellation | None) -> GeneratedAnswer:
        """Read a letter from the likeliest text behind the first question, its blocks and the prefix.

        Raises QuestionError where the text has no room, and what writing it does.
        """
        contract, question = self.manifest.prompt, asked.rows[0]
        prompt = (*contract.head, *question.ids, *contract.suffix(asked.blocks))
        room = self.manifest.limits.model_positions - len(prompt)
        order = order_text(prompt, asked.blocks, room, READOUT_TOKENS, (), LIKELIEST)
        order = dataclasses.replace(order, prepared_s=asked.seconds)
        text = TextStream(self.author(cancel), order, cancel).result()
        letter, bare = first_letter(text.text), bare_letter(text.tokens, self.manifest.letters)
        return GeneratedAnswer(letter, question.offered.get(letter or ""), bare is not None, text)

    def _prompt(self, asked: Question, blocks: int, latent: Latent | None) -> tuple[int, ...]:
        question = asked.rendered()
        if latent is None:
            return self.encoder.compose_text(question, blocks, asked.form)
        own = self.encoder.with_contract(latent.prompt)
        return (*own.compose_text(latent.instruction + question, 0), *latent.begin_ids)

    def author(self, cancel: Cancellation | None) -> Author:
        """Return what writes, with the decoder opened. Raises what opening it does, and EngineClosedError.

        InputError for a `cancel` that is none.
        """
        require_cancellation(cancel)
        found = decoding(self.manifest)
        assert found is not None, "check_roles refuses a decoder without it"
        with self.run():
            return Author(self.decoder.get(cancel), found, self.encoder, self.manifest.name, self.run)
