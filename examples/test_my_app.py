"""Test a program that embeds the runtime, without a model: pytest examples/test_my_app.py."""

from rim_runtime import Engine, FakeBackend
from rim_runtime.testing import fake_engine


def triage(engine: Engine, complaint: str) -> str:
    """Stand for the program under test: it asks, and passes unclear answers on to a person."""
    answer = engine.ask(complaint, ["self-care", "see a doctor", "emergency"])
    return answer.choice or "" if answer.confidence > 0.9 else "ask a person"


def test_a_clear_answer_is_followed() -> None:
    """A fake backend answers with the logits it is given, one for each letter."""
    backend = FakeBackend([0, 9, 0, 0, 0, 0, 0, 0, 0, 0])
    assert triage(fake_engine(backend), "A cough for three weeks") == "see a doctor"
    assert backend.calls[0].blocks == 8


def test_an_unclear_answer_goes_to_a_person() -> None:
    """Equal logits are no answer to act on."""
    assert triage(fake_engine(FakeBackend([1] * 10)), "Hm") == "ask a person"
