"""`generate_async`: the loop goes on while a text is written, and a cancelled task gives the text up."""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing
from typing import Any

import pytest
from rim_runtime import (
    EngineClosedError,
    EngineFailedError,
    FakeDecoder,
    InputError,
    QuestionError,
    Sampling,
)
from rim_runtime.engines.cancellation import Cancellation, when_cancelled
from rim_runtime.testing import fake_engine

TEXT = "Grüße, 日本"


class Endless(FakeDecoder):
    """Writes so many tokens, and then waits until it is given up."""

    def __init__(self, tokens: int) -> None:
        super().__init__(TEXT)
        self.left, self.begun, self.given_up = tokens, threading.Event(), threading.Event()

    def _say(self, state: Any, cancel: Cancellation | None) -> Any:
        self.left -= 1
        if self.left < 0:
            with when_cancelled(cancel, self.given_up.set):
                self.begun.set()
                assert self.given_up.wait(timeout=30), "it was not given up"
        return super()._say(state, cancel)


def test_pieces_and_the_whole() -> None:
    async def read() -> None:
        engine = fake_engine(decoder=FakeDecoder(TEXT))
        stream = engine.generate_async("Where?", blocks=2)
        assert [piece async for piece in stream] == list(TEXT)
        text = await stream.result()
        assert (text.text, text.blocks) == (TEXT, 2)
        texts = await asyncio.gather(*(engine.generate_async("Where?", max_tokens=2).result() for _ in range(9)))
        assert {text.text for text in texts} == {"Gr"}

    asyncio.run(read())


def test_what_generate_raises_is_raised_by_the_first_piece() -> None:
    engine = fake_engine(decoder=FakeDecoder(TEXT))
    for stream, error, said in (
        (engine.generate_async(""), QuestionError, "empty"),
        (engine.generate_async("Where?", stop=""), InputError, "stop text"),
        (fake_engine().generate_async("Where?", sampling=Sampling()), InputError, "--answers text"),
    ):
        with pytest.raises(error, match=said):
            asyncio.run(stream.result())
    stream = engine.generate_async("Where?")
    engine.close()
    with pytest.raises(EngineClosedError):
        asyncio.run(stream.result())


@pytest.mark.parametrize("tokens", [0, 3])
def test_a_cancelled_task_gives_its_text_up_and_the_engine_goes_on(tokens: int) -> None:
    async def give_up() -> None:
        decoder = Endless(tokens)
        engine = fake_engine(decoder=decoder)
        stream = engine.generate_async("Where?")
        pieces: list[str] = []

        async def read() -> None:
            pieces.extend([piece async for piece in stream])

        task = asyncio.create_task(read())
        await asyncio.to_thread(decoder.begun.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert decoder.given_up.is_set()
        assert [piece async for piece in stream] == []
        with pytest.raises(EngineFailedError, match="given up before its end"):
            await stream.result()
        decoder.left = 1000
        assert (await engine.generate_async("Where?").result()).text == TEXT

    asyncio.run(give_up())


def test_a_timeout_ends_a_text() -> None:
    async def wait() -> None:
        decoder = Endless(2)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await fake_engine(decoder=decoder).generate_async("Where?").result()
        assert decoder.given_up.is_set()

    asyncio.run(wait())


def test_a_text_may_be_left() -> None:
    async def leave() -> None:
        engine = fake_engine(decoder=FakeDecoder(TEXT))
        async with aclosing(engine.generate_async("Where?")) as stream:
            assert await anext(stream) == "G"
        assert [piece async for piece in stream] == []
        await engine.generate_async("Where?").aclose()

    asyncio.run(leave())
