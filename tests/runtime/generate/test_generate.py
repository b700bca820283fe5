"""Text of a decoder that writes what it is told: characters, stops, limits, closing and giving up."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from rim_runtime import (
    Cancellation,
    CancelledError,
    Ended,
    EngineClosedError,
    EngineFailedError,
    FakeDecoder,
    InputError,
    Question,
    QuestionError,
    Sampling,
)
from rim_runtime.errors import BrokenLogitsError
from rim_runtime.generate.author import Author
from rim_runtime.generate.sampling import Drawer
from rim_runtime.prompt.contract import PromptContract
from rim_runtime.testing import byte_tokenizer, fake_engine, fake_manifest

from tests.runtime.generate.writers import writing

TEXT = "Grüße, 日本 👍🏽 und Ende"


def ids(text: str) -> list[int]:
    found: list[int] = byte_tokenizer().encode(text).ids
    return found


def test_no_character_is_broken() -> None:
    """Each token is a byte, and a piece is a character."""
    engine = fake_engine(decoder=FakeDecoder(TEXT))
    stream = engine.generate("Where?")
    assert list(stream) == list(TEXT)
    text = stream.result()
    assert (text.text, str(text), text.ended) == (TEXT, TEXT, Ended.STOP_TOKEN)
    assert text.tokens == tuple(ids(TEXT))
    assert 0 < text.first_token_ms <= text.latency_ms


@pytest.mark.parametrize(("limit", "shown"), [(3, "Gr"), (4, "Grü"), (8, "Grüße,")])
def test_a_character_that_the_limit_cuts_is_left_out(limit: int, shown: str) -> None:
    text = fake_engine(decoder=FakeDecoder(TEXT)).generate("Where?", max_tokens=limit).result()
    assert (text.text, text.ended, len(text.tokens)) == (shown, Ended.LIMIT, limit)


def test_bytes_that_are_no_character_do_not_hold_back_the_rest() -> None:
    broken = [ids("é")[0], *ids("then")]
    assert fake_engine(decoder=FakeDecoder(broken)).generate("Where?").result().text == "�then"


@pytest.mark.parametrize(
    ("stop", "pieces"),
    [
        ("👍", list("Grüße, 日本 ")),
        (["nie", "日本"], list("Grüße, ")),
        ("本 x", list(TEXT)),
        (" und Ende.", list(TEXT)),
        (["ß", "üß"], ["G", "r"]),
    ],
)
def test_a_stop_text_is_left_out_and_its_beginning_is_held_back(stop: Any, pieces: list[str]) -> None:
    stream = fake_engine(decoder=FakeDecoder(TEXT)).generate("Where?", stop=stop)
    shown = list(stream)
    assert "".join(shown) == "".join(pieces)
    assert stream.result().text == "".join(pieces)
    stopped = "".join(pieces) != TEXT
    assert stream.result().ended is (Ended.STOP_TEXT if stopped else Ended.STOP_TOKEN)


def test_control_tokens_are_left_out_and_others_shown() -> None:
    decoder = FakeDecoder([*ids("ab"), 7, *ids("é")[:1], 9, *ids("c")])
    optional = fake_engine(decoder=decoder).manifest.optional
    decoding = {**optional["decoding"], "control_ids": [7], "shown_tokens": {"9": "</think>"}}
    text = writing(decoder, optional={**optional, "decoding": decoding}).generate("Where?").result()
    assert text.text == "ab</think>c"
    assert text.tokens[2] == 7


def test_the_prompt_is_the_single_passs() -> None:
    decoder = FakeDecoder("x")
    engine = fake_engine(decoder=decoder)
    contract = engine.manifest.prompt
    for blocks in (None, 3, 0):
        text = engine.generate(Question("Where?"), blocks=blocks).result()
        assert text.blocks == (8 if blocks is None else blocks)
        assert decoder.prompts[-1] == (256, *ids("user\nWhere?"), *contract.suffix(text.blocks))
        assert text.prompt_tokens == len(decoder.prompts[-1])


def test_a_model_without_blocks_answers_as_in_a_chat() -> None:
    contract: PromptContract = dataclasses.replace(fake_manifest().prompt, blocks=0, block=())
    assert contract.text_suffix(0) == contract.tail
    with pytest.raises(QuestionError, match="none"):
        dataclasses.replace(contract).suffix(1)


def test_samples_are_written_together() -> None:
    decoder = FakeDecoder(TEXT)
    texts = fake_engine(decoder=decoder).sample("Where?", 3, max_tokens=4)
    assert [text.text for text in texts] == ["Grü"] * 3
    assert len(decoder.prompts) == 1, "the prompt was read once"


def test_more_samples_than_are_written_at_once_are_refused() -> None:
    """Each takes memory before anything is written."""
    decoder = FakeDecoder("ab")
    engine = fake_engine(decoder=decoder)
    for count in (1_001, 0, "x"):
        with pytest.raises(InputError, match=f"count is '?{count}"):
            engine.sample("Where?", count)  # type: ignore[arg-type]
    assert not decoder.prompts
    assert len(engine.sample("Where?", 1_000)) == 1_000


@pytest.mark.parametrize("work", ["begin", "take"])
def test_many_samples_are_given_up_between_two_of_them(monkeypatch: pytest.MonkeyPatch, work: str) -> None:
    """Neither their beginnings nor their draws are waited for."""
    given_up, done = Cancellation(), []
    usual = getattr(Author, work)

    def counted(*given: Any) -> Any:
        done.append(work)
        if len(done) == 3:
            given_up.cancel()
        return usual(*given)

    monkeypatch.setattr(Author, work, counted)
    with pytest.raises(CancelledError):
        fake_engine(decoder=FakeDecoder(TEXT)).sample("Where?", 1_000, cancel=given_up)
    assert len(done) == 3


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"stop": ""}, "stop text is ''"),
        ({"stop": 5}, "stop is 5, expected a text or a list of texts"),
        ({"stop": None}, "stop is None"),
        ({"stop": b"x"}, "stop is b'x'"),
        ({"stop": {"x": 1}}, "stop is {'x': 1}"),
        ({"cancel": 5}, "cancel is 5, expected a Cancellation"),
        ({"question": "Wh\ud800y?"}, "not valid Unicode at character 2"),
        ({"question": Question("Why?", ["a", "\ud800"])}, "not valid Unicode at character"),
        ({"stop": ["x", 3]}, "stop text is 3"),
        ({"stop": "\ud800"}, "stop text is"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"max_tokens": True}, "max_tokens is True"),
        ({"max_tokens": 10_000}, "does not fit: the model has"),
        ({"question": "x" * 505, "max_tokens": 5}, "Ask for at most 2 tokens"),
        ({"sampling": 0.5}, "sampling is 0.5"),
        ({"blocks": 9}, "9 blocks"),
        ({"question": " "}, "empty"),
    ],
)
def test_what_cannot_be_written_is_refused_at_once(given: dict[str, Any], said: str) -> None:
    decoder = FakeDecoder("x")
    with pytest.raises(InputError, match=said):
        fake_engine(decoder=decoder).generate(**{"question": "Where?"} | given)
    assert not decoder.prompts


def test_without_a_number_there_are_as_many_tokens_as_fit() -> None:
    """512 tokens of question fit, the longest of which leaves no room; this one leaves two."""
    text = fake_engine(decoder=FakeDecoder("abc")).generate("x" * 505).result()
    assert (text.text, text.ended) == ("ab", Ended.LIMIT)


@pytest.mark.parametrize(
    "given",
    [
        {"temperature": -1},
        {"temperature": float("nan")},
        {"temperature": True},
        {"temperature": 10**400},
        {"top_p": 0},
        {"top_p": 1.1},
        {"seed": -1},
        {"seed": 0.5},
    ],
)
def test_a_sampling_that_is_none_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(given))):
        Sampling(**given)


def test_a_bundle_of_letters_says_how_to_get_text() -> None:
    with pytest.raises(InputError, match="rim-edge export --answers text"):
        fake_engine().generate("Where?")


def test_giving_up_leaves_the_engine_usable() -> None:
    engine, cancel = fake_engine(decoder=FakeDecoder(TEXT)), Cancellation()
    stream = engine.generate("Where?", cancel=cancel)
    assert next(stream) == "G"
    cancel.cancel()
    with pytest.raises(CancelledError):
        next(stream)
    assert list(stream) == []
    with pytest.raises(EngineFailedError, match="given up"):
        stream.result()
    with pytest.raises(CancelledError):
        engine.sample("Where?", 2, cancel=cancel)
    left = engine.generate("Where?")
    next(left)
    left.close()
    assert list(left) == []
    assert engine.generate("Where?").result().text == TEXT
    assert engine.ask("Which?", ["a", "b"]).letter


def test_an_engine_may_be_closed_between_two_pieces() -> None:
    decoder = FakeDecoder(TEXT)
    engine = fake_engine(decoder=decoder)
    stream = engine.generate("Where?")
    next(stream)
    engine.close()
    assert decoder.closed
    with pytest.raises(EngineClosedError):
        next(stream)
    with pytest.raises(EngineClosedError):
        engine.generate("Where?")


def test_logits_that_are_no_numbers_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = FakeDecoder(TEXT)
    say = decoder._say

    def broken(*given: Any) -> Any:
        step = say(*given)
        step.logits[0, 3] = np.nan
        return step

    monkeypatch.setattr(decoder, "_say", broken)
    with pytest.raises(BrokenLogitsError):
        fake_engine(decoder=decoder).generate("Where?").result()


def test_tokens_are_drawn_by_their_probabilities() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))
    drawer = Drawer(Sampling(temperature=1.0, seed=1), 0)
    drawn = np.bincount([drawer.draw(logits) for _ in range(4000)], minlength=4) / 4000
    np.testing.assert_allclose(drawn, [0.5, 0.3, 0.15, 0.05], atol=0.03)
    narrow = Drawer(Sampling(temperature=1.0, top_p=0.7, seed=1), 0)
    drawn = np.bincount([narrow.draw(logits) for _ in range(4000)], minlength=4) / 4000
    np.testing.assert_allclose(drawn, [0.625, 0.375, 0, 0], atol=0.03)
    sharp = Drawer(Sampling(temperature=0.25, seed=1), 0)
    assert np.mean([sharp.draw(logits) == 0 for _ in range(1000)]) > 0.8
    for temperature in (0, 1e-300):
        assert {Drawer(Sampling(temperature), 0).draw(logits) for _ in range(20)} == {0}
    assert Drawer(Sampling(top_p=0.01, temperature=5), 0).draw(logits) == 0


def test_the_same_seed_draws_the_same_and_samples_draw_by_themselves() -> None:
    logits = np.zeros(1000, np.float32)

    def draws(seed: int, sample: int) -> list[int]:
        drawer = Drawer(Sampling(temperature=1.0, seed=seed), sample)
        return [drawer.draw(logits) for _ in range(8)]

    assert draws(1, 0) == draws(1, 0)
    assert len({tuple(draws(*one)) for one in ((1, 0), (1, 1), (2, 0), (0, 0), (0, 1))}) == 5


def test_closing_waits_for_the_token_that_is_being_written(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = FakeDecoder(TEXT)
    say, begun, go_on = decoder._say, threading.Event(), threading.Event()
    engine = fake_engine(decoder=decoder)
    stream = engine.generate("Where?")
    next(stream)

    def slow(*given: Any) -> Any:
        begun.set()
        go_on.wait(60)
        return say(*given)

    monkeypatch.setattr(decoder, "_say", slow)
    with ThreadPoolExecutor(2) as threads:
        piece = threads.submit(next, stream)
        begun.wait(60)
        closing = threads.submit(engine.close)
        with pytest.raises(TimeoutError):
            closing.result(timeout=0.3)
        assert not decoder.closed
        go_on.set()
        assert piece.result(60) == "r"
        closing.result(60)
    assert decoder.closed
