"""`ask_async`: the loop goes on, answers are those of `ask`, and who gives up waits for the question's end."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from rim_runtime import Engine, EngineClosedError, FakeBackend, Question, QuestionError
from rim_runtime.engines.cancellation import Cancellation, when_cancelled
from rim_runtime.testing import fake_engine

from tests.places import DEMO_FOLDER

CHOICES = ["this", "that"]
TEXTS = [f"Which of these is number {number}?" for number in range(40)]


@pytest.fixture(scope="module")
def demo() -> Iterator[Engine]:
    with Engine.load(DEMO_FOLDER, engine="ort-cpu") as engine:
        yield engine


def long_text(engine: Engine) -> str:
    """Return a question that takes the demo as long as any."""
    words = engine.manifest.limits.question_tokens // 2
    text = "why " * words
    while True:
        try:
            engine.check(Question(text))
        except QuestionError:
            text = text[: 9 * len(text) // 10]
        else:
            return text


class Endless(FakeBackend):
    """Answers when it is given up, and not before."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.stopped, self.ended = threading.Semaphore(0), threading.Event(), 0

    def run(self, ids: Any, lengths: Any, blocks: Any, cancel: Cancellation | None = None) -> Any:
        with when_cancelled(cancel, self.stopped.set):
            self.begun.release()
            assert self.stopped.wait(timeout=30), "it was not given up"
            time.sleep(0.05)  # stopping takes a moment
            self.ended += 1
        return super().run(ids, lengths, blocks)


@pytest.fixture
def endless() -> Endless:
    return Endless()


def test_many_at_once_answer_like_ask_and_the_loop_goes_on(demo: Engine) -> None:
    async def beat(gaps: list[float]) -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            gaps.append(time.perf_counter() - last)
            last = time.perf_counter()

    long = long_text(demo)

    async def ask_all() -> tuple[list[Any], list[float], float]:
        gaps: list[float] = []
        beating = asyncio.create_task(beat(gaps))
        start = time.perf_counter()
        texts = [*TEXTS, *[long] * 4]
        answers = await asyncio.gather(*(demo.ask_async(text, CHOICES) for text in texts))
        taken = time.perf_counter() - start
        beating.cancel()
        return answers[: len(TEXTS)], gaps, taken

    answers, gaps, taken = asyncio.run(ask_all())
    expected = demo.ask_many([Question(text, CHOICES) for text in TEXTS])
    found = [answer.probabilities["A"] for answer in answers]
    np.testing.assert_allclose(found, [answer.probabilities["A"] for answer in expected], atol=1e-3)
    assert len({round(share, 4) for share in found}) > 3, "they are told apart"
    assert len(gaps) > 10
    assert max(gaps) < taken / 2, "something held the loop up"


def test_what_ask_raises_is_raised(demo: Engine, endless: Endless) -> None:
    with pytest.raises(QuestionError, match="The question is empty"):
        asyncio.run(demo.ask_async(""))
    with pytest.raises(QuestionError, match="this model has 0 to 4"):
        asyncio.run(demo.ask_async("Which?", CHOICES, blocks=99))
    engine = fake_engine(endless)
    engine.close()
    with pytest.raises(EngineClosedError):
        asyncio.run(engine.ask_async("Which?"))


@pytest.mark.parametrize("cancels", [1, 3])
def test_a_cancelled_task_ends_when_its_question_has_ended(endless: Endless, cancels: int) -> None:
    async def give_up() -> None:
        task = asyncio.create_task(fake_engine(endless).ask_async("Which?"))
        await asyncio.to_thread(endless.begun.acquire, timeout=30)
        for _ in range(cancels):  # those behind the first come while it ends
            task.cancel()
            await asyncio.sleep(0.01)
        assert not task.done(), "it does not wait"
        with pytest.raises(asyncio.CancelledError):
            await task
        assert endless.ended == 1

    asyncio.run(give_up())


def test_a_timeout_gives_the_question_up(endless: Endless) -> None:
    async def wait() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await fake_engine(endless).ask_async("Which?")
        assert endless.ended == 1

    asyncio.run(wait())


def test_a_question_that_has_not_begun_is_given_up_at_once(endless: Endless) -> None:
    async def give_up() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        engine = fake_engine(endless)
        first = asyncio.create_task(engine.ask_async("Which?"))
        second = asyncio.create_task(engine.ask_async("Which?"))
        await asyncio.sleep(0.05)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        assert endless.ended == 0, "it waited for the first"
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert endless.ended == 1

    asyncio.run(give_up(), debug=True)


def test_cancelled_tasks_of_a_real_engine_leave_it_whole(demo: Engine) -> None:
    async def give_up() -> None:
        text = long_text(demo)
        tasks = [asyncio.create_task(demo.ask_async(text)) for _ in range(20)]
        await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        given_up = sum(isinstance(one, asyncio.CancelledError) for one in ended)
        assert given_up > 10, "most were answered"
        assert (await demo.ask_async("Which?", CHOICES)).choice in CHOICES

    asyncio.run(give_up())


def test_context_variables_follow_into_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program's logging may read them, such as a request's number."""
    number: contextvars.ContextVar[int] = contextvars.ContextVar("number")
    seen: list[int] = []

    class Reads(FakeBackend):
        def run(self, *given: Any) -> Any:
            seen.append(number.get())
            return super().run(*given)

    async def ask() -> None:
        number.set(7)
        await fake_engine(Reads()).ask_async("Which?")

    asyncio.run(ask())
    assert seen == [7]
