"""What an engine is given beside a question: a wrong type is refused as a wrong value is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rim_runtime import Engine, FakeBackend, FakeDecoder, InputError, Question, QuestionError
from rim_runtime.testing import fake_engine

STEM = "Which vitamin deficiency causes scurvy?"


@pytest.mark.parametrize(
    "ask",
    [
        lambda engine: engine.ask(STEM, cancel=5),
        lambda engine: engine.ask_many([Question(STEM)], cancel=5),
        lambda engine: engine.ask_iter([Question(STEM)], cancel=5),
        lambda engine: engine.generate_letter(STEM, cancel=5),
    ],
)
def test_what_gives_nothing_up_is_refused(ask: Callable[[Engine], object]) -> None:
    backend = FakeBackend()
    with pytest.raises(InputError, match="cancel is 5, expected a Cancellation, or None"):
        ask(fake_engine(backend, FakeDecoder("x")))
    assert not backend.calls


def test_checking_a_question_counts_its_prompt() -> None:
    engine = fake_engine(decoder=FakeDecoder("x"))
    for blocks in (None, 0, 3):
        written = engine.generate(STEM, blocks=blocks).result()
        assert engine.check(Question(STEM), blocks) == written.prompt_tokens
    with pytest.raises(QuestionError, match="Got 9 blocks"):
        engine.check(Question(STEM), 9)
    with pytest.raises(QuestionError, match="The question is a str, expected Question"):
        engine.check(STEM)  # type: ignore[arg-type]
    with pytest.raises(QuestionError, match="Got many tokens to warm up with"):
        engine.warm_up("many")  # type: ignore[arg-type]
