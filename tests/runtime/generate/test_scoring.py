"""How probable the tokens of a text are: a real model's own log-softmax, and what is refused."""

from __future__ import annotations

import math

import pytest
import torch
from rim_runtime import Cancellation, CancelledError, Engine, FakeDecoder, InputError, QuestionError
from rim_runtime.testing import fake_engine

from tests.text_bundle import TextBundle
from tests.text_bundle import text_bundle as text_bundle

TEXT = "The door in B leads to D. Où est la clé? 鍵"


def test_they_are_transformers_own(text_bundle: TextBundle) -> None:
    ids = text_bundle.tokenizer.encode(TEXT, add_special_tokens=False)
    with torch.no_grad():
        expected = text_bundle.model(torch.tensor([ids])).logits[0].float().log_softmax(-1)
    with Engine.load(text_bundle.path, engine="ort-cpu") as engine:
        scored = engine.score(TEXT, top=3)
        assert [one.id for one in scored] == ids
        assert scored[0].logprob is None and not scored[0].top
        for place, one in enumerate(scored[1:], 1):
            assert one.logprob == pytest.approx(float(expected[place - 1, one.id]), abs=2e-3)
            best = expected[place - 1].topk(3)
            assert list(one.top.values()) == pytest.approx(best.values.tolist(), abs=2e-3)
        assert engine.score(ids, top=3) == scored
        more = engine.score(ids, more=4)
        assert [one.written for one in more] == [*len(ids) * [False], *(len(more) - len(ids)) * [True]]
        greedy = text_bundle.model.generate(torch.tensor([ids]), max_new_tokens=4, do_sample=False)[0, len(ids) :]
        assert [one.id for one in more[len(ids) :]] == greedy.tolist()[: len(more) - len(ids)]


def test_the_likeliest_token_is_nearly_sure_for_a_decoder_that_is() -> None:
    engine = fake_engine(decoder=FakeDecoder("Bonjour!"))
    given, *_, last = engine.score("Bon", more=1, top=1)
    assert given.logprob is None
    assert last.written and last.top == {last.id: last.logprob}
    assert last.logprob is not None and math.exp(last.logprob) <= 1


def test_what_cannot_be_scored_is_refused() -> None:
    engine = fake_engine(decoder=FakeDecoder("Bonjour!"))
    with pytest.raises(QuestionError, match="no tokens"):
        engine.score("")
    with pytest.raises(QuestionError, match="The text is not valid Unicode at character 1"):
        engine.score("a\ud800b")
    for wrong in (5, None, b"Bon"):
        with pytest.raises(InputError, match="expected a text or a list of token ids"):
            engine.score(wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="cancel is 5"):
        engine.score("Bon", cancel=5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="not all ids"):
        engine.score([10**9])
    with pytest.raises(InputError, match="more is -1"):
        engine.score("Bon", more=-1)
    with pytest.raises(QuestionError, match="positions"):
        engine.score("x" * 10_000)
    with pytest.raises(InputError, match="answers with letters alone"):
        fake_engine().score("Bon")
    given_up = Cancellation()
    given_up.cancel()
    with pytest.raises(CancelledError):
        engine.score("Bon", cancel=given_up)
