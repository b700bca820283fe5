"""Options in every order of a rotation: a liking for one place cancels, what an option says stays."""

from __future__ import annotations

import numpy as np
import pytest
from rim_runtime import FakeBackend, FakeCall, Question, QuestionError
from rim_runtime.permuted import ask_permuted, separated
from rim_runtime.testing import byte_tokenizer, fake_engine

LIKED = {"red": 1.0, "green": 0.0, "blue": 2.0, "grey": -1.0}


class Biased(FakeBackend):
    """Adds up a liking for an option's word, and one for the first place."""

    def __init__(self, first: float) -> None:
        super().__init__()
        self._first = first

    def _row(self, call: FakeCall) -> np.ndarray:
        lines = byte_tokenizer().decode(list(call.question_ids)).split("\n")
        words = [line.partition(": ")[2] for line in lines if ": " in line]
        logits = np.full(10, -9.0, np.float32)
        logits[: len(words)] = [LIKED[word] for word in words]
        logits[0] += self._first
        return logits


@pytest.mark.parametrize("first", [0.0, 1.5])
def test_what_an_option_says_stays(first: float) -> None:
    engine, words = fake_engine(Biased(first)), ["red", "green", "blue", "grey"]
    found = ask_permuted(engine, Question("Which?", words))
    assert (found.answer.letter, found.answer.choice) == ("C", "blue")
    assert sum(found.answer.probabilities.values()) == pytest.approx(1.0)
    assert found.agreement == found.orders.count("C") / 4
    if first == 0:
        assert found.answer.probabilities == pytest.approx(dict(engine.ask("Which?", words).probabilities))
        assert found.orders == ("C", "C", "C", "C")


def test_a_liking_for_the_first_place_cancels() -> None:
    """It decides everything, and each option was first once: they are all alike."""
    engine, words = fake_engine(Biased(30.0)), ["red", "green", "blue", "grey"]
    assert engine.ask("Which?", words).letter == "A"
    found = ask_permuted(engine, Question("Which?", words))
    assert found.answer.probabilities == pytest.approx(dict.fromkeys("ABCD", 0.25), abs=1e-6)
    assert found.orders == ("A", "B", "C", "D"), "whatever stood first"


def test_it_is_one_batch() -> None:
    backend = Biased(0.0)
    ask_permuted(fake_engine(backend), Question("Which?", ["red", "green", "blue"]))
    assert [call.batch for call in backend.calls] == [3, 3, 3]


def test_options_in_the_text_are_taken_out_of_it() -> None:
    assert separated(Question("Which?\nA: red\nB: green")) == ("Which?", ("red", "green"))
    found = ask_permuted(fake_engine(Biased(0.0)), Question("Which?\nA: red\nB: green"))
    assert (found.answer.letter, found.answer.choice) == ("A", "red")
    for question in (Question("Which?"), Question("Which?", ()), Question("(A) red (B) green")):
        with pytest.raises(QuestionError, match="cannot be put in another order"):
            separated(question)
