"""`Engine.trace`: what is answered behind every block, as asking with that many gives it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest
from rim_runtime import (
    BundleCorruptError,
    Cancellation,
    CancelledError,
    Engine,
    EngineClosedError,
    EngineUnavailableError,
    InputError,
    QuestionError,
    SelfTestError,
    Trace,
)
from rim_runtime.bundle.folder import Bundle, file_entries, save_manifest
from rim_runtime.bundle.roles import Ability, abilities
from rim_runtime.engines.traces.ort_cpu import OrtCpuTrace
from rim_runtime.testing import fake_engine

from tests.places import need
from tests.traced_bundle import TRACE, traced_bundle, traced_text_bundle

__all__ = ["traced_bundle", "traced_text_bundle"]
QUESTION, CHOICES = "Which one?", ["this", "that", "neither"]


def test_it_is_what_asking_gives(traced_bundle: Path) -> None:
    assert abilities(Bundle.load(traced_bundle).manifest) == (Ability.LETTER, Ability.TRACE)
    with Engine.load(traced_bundle) as engine:
        traced = engine.trace(QUESTION, CHOICES)
        asked = [engine.ask(QUESTION, CHOICES, blocks=blocks) for blocks in range(9)]
    for one, other in zip(traced.answers, asked, strict=True):
        assert (one.letter, one.choice, one.blocks) == (other.letter, other.choice, other.blocks)
        assert (one.engine, one.precision, one.bundle) == (other.engine, other.precision, other.bundle)
        assert one.letter_logits == pytest.approx(other.letter_logits, abs=1e-4)
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-4)
    assert len(set(traced.letters)) > 1, "the same letter everywhere would prove little"
    assert traced.first_tokens == ()
    assert 0 < traced.latency_ms == pytest.approx(sum(one.latency_ms for one in traced.answers))


def test_the_first_token_of_a_text(traced_text_bundle: Path) -> None:
    with Engine.load(traced_text_bundle) as engine:
        traced = engine.trace("Where are you?")
    best = [max(one.letter_logits, key=lambda letter: one.letter_logits[letter]) for one in traced.answers]
    assert [one.token for one in traced.first_tokens] == ["ABCDEFGHIJ".index(letter) for letter in best]
    for token, answer in zip(traced.first_tokens, traced.answers, strict=True):
        assert token.probability == pytest.approx(answer.confidence, abs=1e-4)
        assert token.text == ("" if token.token == 0 else chr(ord("!") + token.token))


def test_when_it_changes_and_settles() -> None:
    with fake_engine() as engine:
        answer = engine.ask(QUESTION, CHOICES)

    def trace(letters: Sequence[str]) -> Trace:
        return Trace(tuple(dataclasses.replace(answer, letter=letter) for letter in letters), (), 1.0)

    assert (trace("AABBA").changes, trace("AABBA").settled) == ((2, 4), 4)
    assert (trace("BBBBB").changes, trace("BBBBB").settled) == ((), 0)


def test_a_bundle_without_one_says_what_to_do(tiny_bundle: Path) -> None:
    with Engine.load(tiny_bundle) as engine:
        with pytest.raises(InputError, match="rim-edge export --trace"):
            engine.trace(QUESTION, CHOICES)
        assert engine.ask(QUESTION, CHOICES).letter


def test_bad_questions_and_cancelling(traced_bundle: Path) -> None:
    with Engine.load(traced_bundle) as engine:
        with pytest.raises(QuestionError, match="empty"):
            engine.trace(" ")
        with pytest.raises(InputError, match="cancel is 5"):
            engine.trace(QUESTION, cancel=5)  # type: ignore[arg-type]
        cancelled = Cancellation()
        cancelled.cancel()
        with pytest.raises(CancelledError):
            engine.trace(QUESTION, cancel=cancelled)
        assert len(engine.trace(QUESTION).letters) == 9
    with pytest.raises(EngineClosedError):
        engine.trace(QUESTION)


def test_other_engines_are_refused(traced_bundle: Path) -> None:
    need("openvino")
    with (
        Engine.load(traced_bundle, engine="openvino") as engine,
        pytest.raises(EngineUnavailableError, match="reads no traces in this release, expected auto or ort-cpu"),
    ):
        engine.trace(QUESTION)


def test_a_damaged_graph_is_refused_when_it_is_needed(traced_bundle: Path) -> None:
    content = (traced_bundle / TRACE).read_bytes()
    (traced_bundle / TRACE).write_bytes(content.replace(b"tiny", b"tidy"))
    with Engine.load(traced_bundle) as engine:
        assert engine.ask(QUESTION, CHOICES).letter
        with pytest.raises(BundleCorruptError, match=TRACE):
            engine.trace(QUESTION)


def test_a_graph_of_another_kind_is_refused(traced_bundle: Path) -> None:
    manifest = Bundle.load(traced_bundle).manifest
    (traced_bundle / TRACE).write_bytes((traced_bundle / "model.fp32.onnx").read_bytes())
    save_manifest(traced_bundle, dataclasses.replace(manifest, files=file_entries(traced_bundle)))
    with Engine.load(traced_bundle) as engine, pytest.raises(BundleCorruptError, match="no trace of ours"):
        engine.trace(QUESTION)


def test_one_that_answers_otherwise_fails_the_golden_questions(
    traced_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = OrtCpuTrace.run

    def upside_down(self: OrtCpuTrace, *given: object) -> object:
        found = right(self, *given)  # type: ignore[arg-type]
        return dataclasses.replace(found, letters=-found.letters)

    monkeypatch.setattr(OrtCpuTrace, "run", upside_down)
    with Engine.load(traced_bundle) as engine, pytest.raises(SelfTestError):
        engine.trace(QUESTION)
