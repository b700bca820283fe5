"""Asking: answers, batches, threads, and everything that cannot be asked."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import os
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rim_runtime import (
    Answers,
    BrokenLogitsError,
    Cancellation,
    CancelledError,
    Engine,
    EngineClosedError,
    EngineFailedError,
    FakeBackend,
    Head,
    Progress,
    Question,
    QuestionError,
    QuestionTooLongError,
    RimError,
)
from rim_runtime.engines.backend import run_rows
from rim_runtime.testing import fake_engine, fake_manifest

from rim_edge.puzzles.fresh import fresh_puzzles
from tests.places import DEMO_FOLDER, need

STEM = "Which vitamin deficiency causes scurvy?"
VITAMINS = ["Vitamin A", "Vitamin B12", "Vitamin C", "Vitamin D"]
ALWAYS_C = [0, 1, 5, 2, 9, 0, 0, 0, 0, 0]


def test_choices_become_an_answer() -> None:
    answer = fake_engine(FakeBackend(ALWAYS_C)).ask(STEM, VITAMINS)
    assert (answer.letter, answer.choice, str(answer)) == ("C", "Vitamin C", "C")
    assert list(answer.probabilities) == ["A", "B", "C", "D"]
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    assert answer.confidence == answer.probabilities["C"]
    assert answer.confidence == pytest.approx(math.exp(5) / sum(map(math.exp, ALWAYS_C[:4])))
    assert answer.letter_logits == dict(zip("ABCDEFGHIJ", ALWAYS_C, strict=True))
    assert (answer.blocks, answer.engine, answer.precision, answer.bundle) == (8, "fake", "fp32", "fake")
    assert answer.latency_ms > 0


def test_an_open_question_is_answered_over_all_letters() -> None:
    answer = fake_engine(FakeBackend(ALWAYS_C)).ask(STEM)
    assert (answer.letter, answer.choice) == ("E", None)
    assert list(answer.probabilities) == list("ABCDEFGHIJ")


def test_options_in_the_text_are_the_same_as_a_list() -> None:
    backend = FakeBackend()
    engine = fake_engine(backend)
    text = "\n".join([STEM, *(f"{letter}: {v}" for letter, v in zip("ABCD", VITAMINS, strict=True))])
    listed, written = engine.ask(STEM, VITAMINS), engine.ask(text)
    assert backend.calls[0] == backend.calls[1]
    assert dataclasses.replace(listed, latency_ms=0) == dataclasses.replace(written, latency_ms=0)


def test_answers_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        fake_engine().ask(STEM).letter = "A"  # type: ignore[misc]


def test_blocks_reach_the_graph() -> None:
    backend = FakeBackend()
    engine = fake_engine(backend)
    assert [engine.ask(STEM, blocks=k).blocks for k in (0, 3, 8)] == [0, 3, 8]
    assert [call.blocks for call in backend.calls] == [0, 3, 8]


BAD_QUESTIONS: list[tuple[str, Callable[[Engine], object], str]] = [
    ("empty", lambda e: e.ask(""), "The question is empty"),
    ("blank", lambda e: e.ask(" \n\t"), "The question is empty"),
    ("empty with choices", lambda e: e.ask(" ", ["a", "b"]), "The question is empty"),
    ("not text", lambda e: e.ask(7), "The question is a int, expected a text"),  # type: ignore[arg-type]
    ("half a character", lambda e: e.ask("a\ud800b"), "not valid Unicode at character"),
    ("one choice", lambda e: e.ask(STEM, ["a"]), "The number of choices is 1, expected 2 to 10"),
    ("eleven choices", lambda e: e.ask(STEM, ["x"] * 11), "The number of choices is 11, expected 2 to 10"),
    ("choices as one text", lambda e: e.ask(STEM, "abc"), "The choices are 'abc', expected a list"),
    ("an empty choice", lambda e: e.ask(STEM, ["a", " "]), "Choice 2 is ' ', expected one line of text"),
    ("a choice of two lines", lambda e: e.ask(STEM, ["a", "b\nC: c"]), "Choice 2 is 'b\\nC: c'"),
    ("options twice", lambda e: e.ask("x\nA: a\nB: b", ["a", "b"]), "Use one of the two"),
    ("too many blocks", lambda e: e.ask(STEM, blocks=9), "Got 9 blocks, this model has 0 to 8"),
    ("negative blocks", lambda e: e.ask(STEM, blocks=-1), "Got -1 blocks, expected a whole number from 0 to 8"),
    ("half a block", lambda e: e.ask(STEM, blocks=0.5), "Got 0.5 blocks"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(
    ("ask", "message"), [row[1:] for row in BAD_QUESTIONS], ids=[row[0] for row in BAD_QUESTIONS]
)
def test_bad_questions(ask: Callable[[Engine], object], message: str) -> None:
    backend = FakeBackend()
    with pytest.raises(QuestionError) as caught:
        ask(fake_engine(backend))
    assert message in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert not backend.calls


def test_questions_may_come_from_a_generator() -> None:
    engine = fake_engine()
    made = engine.ask_many(Question(text) for text in ("one", "two"))
    assert [answer.letter_logits for answer in made] == [engine.ask(text).letter_logits for text in ("one", "two")]
    assert engine.ask_many([]) == []


@pytest.mark.parametrize(
    ("questions", "message"),
    [
        (["Which?"], "Question 1 is a str. Expected an iterable of Question"),
        ([Question("Which?"), {"question": "Which?"}], "Question 2 is a dict"),
        ("Which?", "The questions are one str"),
        (Question("Which?"), "The questions are one Question"),
        (7, "The questions are one int"),
    ],
)
def test_what_is_no_list_of_questions(questions: Any, message: str) -> None:
    with pytest.raises(QuestionError, match=message):
        fake_engine().ask_many(questions)


def test_a_long_question_is_refused_not_cut() -> None:
    engine = fake_engine()
    fits = "x" * (512 - len("user\n"))
    engine.ask(fits)
    with pytest.raises(QuestionTooLongError, match="has 513 tokens, this bundle takes at most 512") as caught:
        engine.ask(fits + "x")
    assert (caught.value.tokens, caught.value.limit) == (513, 512)


def test_more_options_than_letters() -> None:
    engine = Engine(fake_manifest(letters=4), fake_engine()._encoder, FakeBackend(letters=4))
    assert engine.ask(STEM, VITAMINS).letter in "ABCD"
    with pytest.raises(QuestionError, match="offers the letters A, B, C, D, E, this model answers A to D"):
        engine.ask(STEM, [*VITAMINS, "None"])


@pytest.mark.parametrize("logit", [math.nan, math.inf, -math.inf])
def test_broken_logits_are_no_answer(logit: float) -> None:
    with pytest.raises(BrokenLogitsError, match="fake at fp32 gave logits that are not finite"):
        fake_engine(FakeBackend([0, logit, *[0] * 8])).ask(STEM)


def test_a_closed_engine_says_so() -> None:
    backend = FakeBackend()
    with fake_engine(backend) as engine:
        engine.ask(STEM)
    assert backend.closed
    engine.close()
    with pytest.raises(EngineClosedError, match="This engine is closed"):
        engine.ask(STEM)
    assert "closed" in repr(engine)


def test_ask_many_keeps_the_order_and_batches_by_length() -> None:
    backend = FakeBackend()
    engine = fake_engine(backend)
    questions = [Question("word " * (1 + number * 37 % 90)) for number in range(60)]
    many = engine.ask_many(questions)
    assert len(backend.calls) == 60
    assert max(call.batch for call in backend.calls) > 1
    fixed = engine.manifest.prompt.fixed_tokens
    assert all(call.batch * (len(call.question_ids) + fixed) <= backend.batch_tokens for call in backend.calls)
    assert [answer.letter for answer in many] == [engine.ask(question.text).letter for question in questions]
    assert engine.ask_many([]) == []


def test_ask_many_names_the_bad_question_and_asks_none() -> None:
    backend = FakeBackend()
    with pytest.raises(QuestionError) as caught:
        fake_engine(backend).ask_many([Question("good"), Question("")])
    assert caught.value.__notes__ == ["This is question 2 of 2."]
    assert not backend.calls


@pytest.mark.parametrize("head", list(Head))
def test_a_rows_answer_does_not_depend_on_its_batch(make_bundle: Callable[..., Path], head: Head) -> None:
    questions = [Question("why " * (1 + number)) for number in range(40)]
    with Engine.load(make_bundle(head=head)) as engine:
        many = engine.ask_many(questions)
        for question, together in zip(questions, many, strict=True):
            alone = engine.ask(question.text)
            assert alone.letter == together.letter
            assert list(alone.letter_logits.values()) == pytest.approx(
                list(together.letter_logits.values()), abs=1e-3
            )


def test_the_full_head_gives_the_letters_columns(make_bundle: Callable[..., Path]) -> None:
    with Engine.load(make_bundle("a")) as letters, Engine.load(make_bundle("b", head=Head.FULL)) as full:
        assert full.ask(STEM).letter_logits == pytest.approx(letters.ask(STEM).letter_logits, abs=1e-4)


def test_many_threads_get_their_own_answers(tiny_bundle: Path) -> None:
    questions = [f"Question number {number}?" for number in range(64)]
    with Engine.load(tiny_bundle) as engine, ThreadPoolExecutor(8) as pool:
        expected = [engine.ask(question).letter_logits for question in questions]
        found = [answer.letter_logits for answer in pool.map(engine.ask, questions)]
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, abs=1e-4)


def test_closing_while_others_ask_ends_in_answers_or_a_clear_error(tiny_bundle: Path) -> None:
    engine = Engine.load(tiny_bundle)

    def ask(number: int) -> str:
        try:
            return engine.ask(f"Question {number}?").letter
        except RimError as error:
            return type(error).__name__

    with ThreadPoolExecutor(4) as pool:
        pending = [pool.submit(ask, number) for number in range(40)]
        engine.close()
        outcomes = {future.result() for future in pending}
    assert outcomes <= {*"ABCDEFGHIJ", "EngineClosedError"}


def test_opened_for_one_answer_it_answers_the_same() -> None:
    puzzles = fresh_puzzles(3, 20_254)
    with Engine.load(DEMO_FOLDER) as many, Engine.load(DEMO_FOLDER, answers=Answers.ONE) as one:
        for puzzle in puzzles:
            expected, found = (engine.ask(puzzle.question).letter_logits for engine in (many, one))
            assert found == pytest.approx(expected, abs=1e-4)


def test_an_answer_cannot_be_altered_and_is_a_value() -> None:
    engine = fake_engine(FakeBackend(ALWAYS_C))
    answer, other = (dataclasses.replace(engine.ask(STEM, VITAMINS), latency_ms=0) for _ in range(2))
    numbers: Any = answer.probabilities
    changes: list[Callable[[], object]] = [
        lambda: numbers.__setitem__("A", 9),
        lambda: numbers.__delitem__("A"),
        lambda: numbers.__ior__({"A": 9}),
        lambda: numbers.update(A=9),
        lambda: numbers.setdefault("Z", 9),
        lambda: numbers.pop("A"),
        numbers.popitem,
        numbers.clear,
    ]
    for change in changes:
        with pytest.raises(TypeError, match="cannot be altered"):
            change()
    assert answer == other
    assert len({answer, other}) == 1
    assert pickle.loads(pickle.dumps(answer)) == copy.deepcopy(answer) == answer
    assert json.loads(json.dumps(dataclasses.asdict(answer)))["probabilities"] == dict(answer.probabilities)


def test_no_choices_are_not_the_same_as_choices_in_the_text() -> None:
    """A dialogue at a question's end can be asked without choices."""
    engine, dialogue = fake_engine(), f"{STEM}\nA: Does it hurt?\nB: Since Monday."
    assert list(engine.ask(dialogue).probabilities) == ["A", "B"]
    for none in ((), [], {}, iter(())):
        answer = engine.ask(dialogue, none)
        assert (list(answer.probabilities), answer.choice) == (list("ABCDEFGHIJ"), None)


def test_ask_iter_gives_each_answer_with_its_place() -> None:
    backend = FakeBackend()
    engine = fake_engine(backend)
    questions = [Question("word " * (1 + number * 37 % 90)) for number in range(60)]
    answers = engine.ask_iter(questions)
    place, answer = next(answers)
    assert 0 < len(backend.calls) < 60
    found = dict([(place, answer), *answers])
    expected = engine.ask_many(questions)
    assert [found[number].letter_logits for number in range(60)] == [one.letter_logits for one in expected]
    with pytest.raises(QuestionError):
        engine.ask_iter([Question(STEM), Question("")])


def test_an_error_among_many_says_how_far_it_got_and_ask_iter_keeps_the_answers() -> None:
    class Breaks(FakeBackend):
        def run(self, ids: Any, *given: Any) -> Any:
            if ids.shape[1] > 100:
                raise EngineFailedError("out of memory")
            return super().run(ids, *given)

    engine, questions = fake_engine(Breaks()), [Question("x" * 400), Question("short")]
    with pytest.raises(EngineFailedError, match="out of memory") as caught:
        engine.ask_many(questions)
    assert caught.value.__notes__ == ["1 of 2 questions were answered before it."]
    answers = engine.ask_iter(questions)
    assert next(answers)[0] == 1
    with pytest.raises(EngineFailedError):
        next(answers)


def test_a_question_that_is_given_up_ends() -> None:
    cancel = Cancellation()

    class Cancelled(FakeBackend):
        def run(self, *given: Any) -> Any:
            logits = super().run(*given)
            cancel.cancel()
            return logits

    backend = Cancelled()
    engine = fake_engine(backend)
    with pytest.raises(CancelledError, match="This was cancelled"):
        engine.ask_many([Question("x" * 400) for _ in range(3)], cancel=cancel)
    assert len(backend.calls) == 1
    assert engine.ask(STEM).letter


@pytest.mark.parametrize("name", ["ort-cpu", "openvino"])
def test_a_real_engine_stops_in_the_middle_of_an_answer(name: str) -> None:
    """A batch of long questions takes the demo seconds, and is stopped at once."""
    need(name)
    with Engine.load(DEMO_FOLDER, engine=name) as engine:
        rows = [[0] * engine.manifest.limits.question_tokens] * 128
        cancel = Cancellation()
        threading.Timer(0.1, cancel.cancel).start()
        with pytest.raises(CancelledError):
            run_rows(engine._backend, rows, engine.manifest.prompt.blocks, cancel)
        assert engine.ask(STEM).letter


def test_a_load_that_is_given_up_ends(tiny_bundle: Path) -> None:
    cancel = Cancellation()
    asked: list[Progress] = []

    def progress(step: Progress) -> None:
        asked.append(step)
        cancel.cancel()

    with pytest.raises(CancelledError):
        Engine.load(tiny_bundle, progress=progress, cancel=cancel)
    assert len(asked) == 1
    with pytest.raises(CancelledError):
        Engine.load(tiny_bundle, cancel=cancel)


def test_numbers_of_every_width_are_asked_as_int64(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows numpy 1.26 makes int32 of Python's integers, which no engine takes."""

    def narrow(make: Callable[..., Any]) -> Callable[..., Any]:
        def made(*given: Any, **named: Any) -> Any:
            array = make(*given, **named)
            untold = "dtype" not in named and len(given) < 2
            return array.astype(np.int32) if untold and array.dtype == np.int64 else array

        return made

    for name in ("array", "asarray", "arange"):
        monkeypatch.setattr(np, name, narrow(getattr(np, name)))
    with Engine.load(tiny_bundle) as engine:
        assert engine.ask(STEM, blocks=np.int32(3)).blocks == 3  # type: ignore[arg-type]


def test_warming_up_asks_a_question_of_that_length() -> None:
    backend = FakeBackend()
    engine = fake_engine(backend)
    engine.warm_up(7)
    engine.warm_up()
    assert [(len(call.question_ids), call.blocks) for call in backend.calls] == [(7, 8), (512, 8)]
    for tokens in (0, 513):
        with pytest.raises(QuestionError, match=f"Got {tokens} tokens to warm up with, expected 1 to 512"):
            engine.warm_up(tokens)


def test_what_is_loaded_is_logged(tiny_bundle: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="rim_runtime"):
        Engine.load(tiny_bundle).close()
    text = caplog.text
    assert "ort-cpu passed the self-test: 4 of 4 golden questions" in text
    assert "loaded tiny on ort-cpu at fp32" in text


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="memory is read from /proc")
@pytest.mark.parametrize("name", ["ort-cpu", "openvino"])
def test_the_memory_of_one_long_question_is_given_back(name: str) -> None:
    need(name)

    def resident_mb() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    with Engine.load(DEMO_FOLDER, engine=name) as engine:
        engine.ask(STEM)
        before = resident_mb()
        engine.warm_up()  # as many tokens as the demo takes
        assert resident_mb() - before < 15
