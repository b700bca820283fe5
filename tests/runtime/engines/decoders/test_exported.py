"""A bundle that was exported with a decoder writes what transformers writes, however its cache is kept."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rim_runtime import (
    BundleCorruptError,
    Cancellation,
    CancelledError,
    Engine,
    EngineFailedError,
    EngineUnavailableError,
    Sampling,
    SelfTestError,
)
from rim_runtime.bundle import integrity
from rim_runtime.bundle.folder import Bundle, save_manifest
from rim_runtime.bundle.integrity import read_graph
from rim_runtime.bundle.roles import Cache, Role, graph_of
from rim_runtime.engines.backend import MANY
from rim_runtime.engines.decoders.mapped import MappedDecoder
from rim_runtime.engines.decoders.ort_cpu import OrtCpuDecoder

from tests.text_bundle import TextBundle
from tests.text_bundle import text_bundle as text_bundle

QUESTIONS = ("Where is Ben?", "Which one is the oldest?\nA: Anna\nB: Ben", "é?")
TOKENS = 24


def expected(bundle: TextBundle, question: str, blocks: int, tokens: int = TOKENS) -> tuple[int, ...]:
    """Return what transformers writes, without the token that ends it."""
    with Engine.load(bundle.path) as engine:
        prompt = engine._encoder.compose(question, blocks).ids
        ends = engine.manifest.optional["decoding"]["stop_ids"]
    ids = torch.tensor([prompt])
    written = bundle.model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=False
    )[0, len(prompt) :].tolist()
    return tuple(written[:-1] if written[-1] in ends else written)


@pytest.fixture
def copy(text_bundle: TextBundle, tmp_path: Path) -> Path:
    """A copy that a test may alter."""
    return Path(shutil.copytree(text_bundle.path, tmp_path / "copy"))


def edit_decoding(folder: Path, **changes: object) -> None:
    manifest = Bundle.load(folder).manifest
    optional = json.loads(json.dumps(dict(manifest.optional)))
    optional["decoding"] |= changes
    save_manifest(folder, dataclasses.replace(manifest, optional=optional))


@pytest.mark.parametrize("cache", Cache)
def test_the_likeliest_tokens_are_those_of_transformers(text_bundle: TextBundle, copy: Path, cache: Cache) -> None:
    edit_decoding(copy, cache=cache)
    with Engine.load(copy) as engine:
        for question, blocks in zip(QUESTIONS, (8, 3, 0), strict=True):
            text = engine.generate(question, blocks=blocks, max_tokens=TOKENS).result()
            assert text.tokens == expected(text_bundle, question, blocks)
            assert (text.engine, text.precision) == ("ort-cpu", "fp32")
        same = engine.sample(QUESTIONS[2], 3, blocks=0, max_tokens=TOKENS)
        assert {one.tokens for one in same} == {text.tokens}


def test_samples_draw_by_themselves_and_a_seed_says_what(text_bundle: TextBundle) -> None:
    drawn = Sampling(temperature=1.0, top_p=0.9, seed=4)
    with Engine.load(text_bundle.path) as engine:
        texts = engine.sample(QUESTIONS[0], 4, max_tokens=8, sampling=drawn)
        assert len({text.tokens for text in texts}) == 4
        assert engine.generate(QUESTIONS[0], max_tokens=8, sampling=drawn).result().tokens == texts[0].tokens
        assert [text.tokens for text in engine.sample(QUESTIONS[0], 2, max_tokens=8, sampling=drawn)] == [
            text.tokens for text in texts[:2]
        ]


def test_letters_never_open_the_decoder_and_stay_what_they_are(
    text_bundle: TextBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    init = OrtCpuDecoder.__init__

    def counted(self: OrtCpuDecoder, *given: Any) -> None:
        opened.append("decoder")
        init(self, *given)

    monkeypatch.setattr(OrtCpuDecoder, "__init__", counted)
    with Engine.load(text_bundle.path) as engine:
        before = engine.ask("Which?", ["this", "that"]).letter_logits
        engine.warm_up(4)
        assert not opened
        engine.generate(QUESTIONS[0], max_tokens=2).result()
        engine.sample(QUESTIONS[0], 2, max_tokens=2)
        assert opened == ["decoder"]
        assert engine.ask("Which?", ["this", "that"]).letter_logits == before


def test_giving_up_in_the_computation_leaves_the_engine_usable(
    text_bundle: TextBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third step is given up while it runs; the text before it is whole, and the next one too."""
    with Engine.load(text_bundle.path) as engine:
        whole = engine.generate(QUESTIONS[0], max_tokens=8).result()
        cancel, run, steps = Cancellation(), OrtCpuDecoder._run, []

        def given_up(self: OrtCpuDecoder, *given: Any) -> Any:
            steps.append(given)
            session = self._session
            if len(steps) == 3:
                self._session = _Cancelling(session, cancel)
            try:
                return run(self, *given)
            finally:
                self._session = session

        with monkeypatch.context() as patch:
            patch.setattr(OrtCpuDecoder, "_run", given_up)
            stream = engine.generate(QUESTIONS[0], max_tokens=8, cancel=cancel)
            with pytest.raises(CancelledError):
                stream.result()
        assert len(steps) == 3
        assert engine.generate(QUESTIONS[0], max_tokens=8).result().tokens == whole.tokens


class _Cancelling:
    """A session in which somebody gives up right before it runs."""

    def __init__(self, session: Any, cancel: Cancellation) -> None:
        self._session, self._cancel = session, cancel

    def run_with_iobinding(self, binding: Any, options: Any) -> None:
        self._cancel.cancel()
        assert options.terminate
        self._session.run_with_iobinding(binding, options)

    def io_binding(self) -> Any:
        return self._session.io_binding()


@pytest.mark.parametrize("cache", Cache)
def test_states_are_cut_copied_and_fed_with_vectors(text_bundle: TextBundle, copy: Path, cache: Cache) -> None:
    edit_decoding(copy, cache=cache)
    bundle = Bundle.load(copy)
    entry = graph_of(bundle.manifest, bundle.manifest.variants[0], Role.DECODER)
    assert entry is not None
    decoder = OrtCpuDecoder(bundle, entry, MANY, read_graph(bundle, entry))
    table = text_bundle.model.get_input_embeddings().weight.detach().numpy()
    prompt, a, b = [40, 41, 42, 43], np.array([50]), np.array([60])
    state, first = decoder.start(prompt, 10)
    assert (state.rows, state.length, state.capacity) == (1, 4, 10)
    after_b = decoder.step(state, b)
    decoder.trim(state, 4)
    np.testing.assert_allclose(
        decoder.start([*prompt, 50], 10)[1].logits, decoder.step(state, a).logits, atol=1e-4
    )
    decoder.trim(state, 4)
    by_vector = decoder.step(state, np.array([-1]), table[60][None])
    np.testing.assert_allclose(by_vector.logits, after_b.logits, atol=1e-4)
    np.testing.assert_allclose(by_vector.states, after_b.states, atol=1e-4)
    decoder.trim(state, 4)
    both = decoder.step(decoder.fork(state, 2), np.array([60, 50]))
    np.testing.assert_allclose(both.logits[0], after_b.logits[0], atol=1e-4)
    np.testing.assert_allclose(both.logits[1], decoder.step(state, a).logits[0], atol=1e-4)
    assert np.abs(both.logits[0] - both.logits[1]).max() > 0.1
    assert first.logits.shape == (1, len(table))
    decoder.close()


def test_large_weights_are_mapped_and_packed_bundles_unpacked_again(
    text_bundle: TextBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = expected(text_bundle, QUESTIONS[0], 8, 6)
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", text_bundle.path)
    with Engine.load(packed) as engine:
        assert engine.generate(QUESTIONS[0], max_tokens=6).result().tokens == right
    monkeypatch.setattr(integrity, "HASH_EVERY_TIME", 1)
    with Engine.load(text_bundle.path) as engine:
        assert engine.generate(QUESTIONS[0], max_tokens=6).result().tokens == right
        assert isinstance(engine._texts().author(None).decoder, MappedDecoder)


def test_a_bundle_that_was_replaced_is_refused_and_letters_go_on(copy: Path) -> None:
    with Engine.load(copy) as engine:
        edit_decoding(copy, width=33)
        with pytest.raises(BundleCorruptError, match="another bundle than the one that was loaded"):
            engine.generate(QUESTIONS[0])
        assert engine.ask("Which?", ["this", "that"]).letter


def test_a_graph_of_another_geometry_is_refused(copy: Path) -> None:
    edit_decoding(copy, layers=3)
    with Engine.load(copy) as engine, pytest.raises(BundleCorruptError, match="decoder of 3 layers"):
        engine.generate(QUESTIONS[0])


def test_a_decoder_that_computes_something_else_here_is_refused(
    text_bundle: TextBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = OrtCpuDecoder.step

    def wrong(*given: Any, **named: Any) -> Any:
        found = step(*given, **named)
        return dataclasses.replace(found, logits=-found.logits)

    monkeypatch.setattr(OrtCpuDecoder, "step", wrong)
    with Engine.load(text_bundle.path) as engine:
        with pytest.raises(SelfTestError, match="answered differently"):
            engine.generate(QUESTIONS[0])
        monkeypatch.undo()
        assert engine.generate(QUESTIONS[0], max_tokens=3).result().tokens


def test_an_engine_that_was_named_and_writes_no_text_is_refused(text_bundle: TextBundle) -> None:
    refused = pytest.raises(EngineUnavailableError, match="openvino was asked for, and writes no text")
    with Engine.load(text_bundle.path, engine="openvino") as engine, refused:
        engine.generate(QUESTIONS[0])


def test_more_samples_than_memory_are_refused(text_bundle: TextBundle) -> None:
    with Engine.load(text_bundle.path) as engine:
        with pytest.raises(EngineFailedError, match="There is no memory for 10,000,000,000,000 answers"):
            decoder = engine._texts().author(None).decoder
            decoder.fork(decoder.start([40], 4)[0], 10**13)
        assert engine.generate(QUESTIONS[0], max_tokens=1).result().tokens
