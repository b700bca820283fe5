"""Latent steps before a text: what the decoder reads, how many steps, and giving up between two."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from rim_runtime import (
    Cancellation,
    CancelledError,
    Engine,
    FakeBackend,
    FakeDecoder,
    InputError,
    PromptEncoder,
    QuestionError,
)
from rim_runtime.bundle.latent import Latent
from rim_runtime.engines.backend import Floats, Ints
from rim_runtime.engines.decoders.decoder import DecoderState, Step
from rim_runtime.prompt.contract import PromptContract
from rim_runtime.testing import byte_tokenizer, fake_engine

TEXT = "four"
PROMPT = PromptContract(
    head=(200,),
    question_open="",
    question_close="!",
    strip=True,
    tail=(201,),
    block=(),
    blocks=0,
    prefix=(),
    prefix_text="",
)
STATE = 7.0
"""What a fake decoder's states are, at the first position; each position adds one."""


class Recorder(FakeDecoder):
    """Writes down what is read: ids, and the vectors in the place of negative ones."""

    def __init__(self, cancel_at: int = 99, cancel: Cancellation | None = None) -> None:
        super().__init__(TEXT)
        self.read: list[float] = []
        self._cancel_at, self._given = cancel_at, cancel

    def project(self, states: Floats) -> Floats:
        return 10 * states

    def start(self, *given: Any) -> Any:
        state, step = super().start(*given)
        return state, Step(step.logits, np.array([[STATE]], np.float32))

    def step(
        self,
        state: DecoderState,
        ids: Ints,
        vectors: Floats | None = None,
        cancel: Cancellation | None = None,
    ) -> Step:
        self.read.append(float(ids[0]) if vectors is None else float(vectors[0, 0]))
        if self._given and len(self.read) == self._cancel_at:
            self._given.cancel()
        step = super().step(state, ids, vectors, cancel)
        return Step(step.logits, np.array([[STATE + len(self.read)]], np.float32))


def engine(decoder: FakeDecoder, **changed: Any) -> Engine:
    """Return an engine with a decoder of a model that takes two latent steps."""
    latent = Latent(2, PROMPT, "Add. ", begin_ids=(202,), **changed)
    plain = fake_engine(decoder=decoder).manifest
    optional = {**plain.optional, "latent": json.loads(json.dumps(dataclasses.asdict(latent)))}
    manifest = dataclasses.replace(plain, optional=optional)
    encoder = PromptEncoder(manifest.prompt, byte_tokenizer(), manifest.limits.question_tokens)
    return Engine(manifest, encoder, FakeBackend(), open_decoder=lambda cancel: decoder)


def test_each_step_reads_the_projected_state_before_it() -> None:
    decoder = Recorder()
    text = engine(decoder).generate("2+2").result()
    asked = byte_tokenizer().encode("Add. 2+2!").ids
    assert decoder.prompts == [(200, *asked, 201, 202)]
    assert decoder.read[:2] == [10 * STATE, 10 * (STATE + 1)]
    assert (text.text, text.latent_steps, text.prompt_tokens) == (TEXT, 2, len(asked) + 3)


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_any_number_of_steps_may_be_asked_for(steps: int) -> None:
    decoder = Recorder()
    text = engine(decoder).generate("2+2", latent_steps=steps).result()
    vectors = [10 * (STATE + step) for step in range(steps)]
    assert decoder.read == [*vectors, *byte_tokenizer().encode(TEXT).ids]
    assert (text.text, text.latent_steps) == (TEXT, steps)


@pytest.mark.parametrize(("steps", "taken"), [(None, 2), (0, 0), (3, 3)])
def test_samples_share_the_steps(steps: int | None, taken: int) -> None:
    decoder = Recorder()
    texts = engine(decoder).sample("2+2", 3, latent_steps=steps)
    vectors = [10 * (STATE + step) for step in range(taken)]
    assert decoder.read == [*vectors, *byte_tokenizer().encode(TEXT).ids], "once for all three"
    assert [(text.text, text.latent_steps) for text in texts] == 3 * [(TEXT, taken)]


def test_end_tokens_are_read_behind_the_steps() -> None:
    decoder = Recorder()
    text = engine(decoder, end_ids=(203, 204)).generate("2+2", latent_steps=1).result()
    assert decoder.read[:3] == [10 * STATE, 203, 204]
    assert text.latent_steps == 1


@pytest.mark.parametrize("steps", [-1, 1.5, "2", True])
def test_a_number_that_is_none_is_refused(steps: Any) -> None:
    with pytest.raises(InputError, match=r"latent_steps is .*, expected a whole number from 0"):
        engine(Recorder()).generate("2+2", latent_steps=steps)


def test_a_bundle_without_latent_steps_refuses_them() -> None:
    with pytest.raises(InputError, match="takes no latent steps"):
        fake_engine(decoder=FakeDecoder(TEXT)).generate("2+2", latent_steps=1)


def test_steps_take_positions() -> None:
    writer = engine(Recorder())
    room = writer.manifest.limits.model_positions - len(byte_tokenizer().encode("Add. 2+2!").ids) - 3
    assert writer.generate("2+2", latent_steps=room - 4, max_tokens=4).result().text == TEXT
    with pytest.raises(QuestionError, match="Ask for at most 3 tokens"):
        writer.generate("2+2", latent_steps=room - 3, max_tokens=4)


def test_a_text_may_be_given_up_between_two_steps() -> None:
    cancel = Cancellation()
    decoder = Recorder(cancel_at=3, cancel=cancel)
    writer = engine(decoder)
    with pytest.raises(CancelledError):
        writer.generate("2+2", latent_steps=50, cancel=cancel).result()
    assert len(decoder.read) == 3
    assert writer.generate("2+2").result().text == TEXT
