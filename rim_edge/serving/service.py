"""One engine and those who ask it: letters in batches, a few texts at a time, nobody longer than is allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar

from rim_runtime.answer import Answer
from rim_runtime.bundle.roles import Ability, abilities
from rim_runtime.engine import Engine
from rim_runtime.engines.awaiting import in_thread
from rim_runtime.engines.cancellation import Cancellation
from rim_runtime.generate.async_stream import AsyncTextStream
from rim_runtime.generate.text import Text
from rim_runtime.question import Question

from rim_edge.errors import BusyError
from rim_edge.serving.letters import LetterBatches
from rim_edge.serving.limits import Limits
from rim_edge.serving.metrics import Metrics

Result = TypeVar("Result")
Pieces = AsyncGenerator[str | AsyncTextStream, None]
"""A text piece by piece, then its stream. Who leaves it early closes it (`aclosing`): that gives the text up."""


class Service:
    """What a server's routes call. For one event loop."""

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self.engine, self.limits, self.metrics = engine, limits, Metrics()
        self._letters = LetterBatches(engine, limits, self.metrics)
        self._texts = asyncio.Semaphore(limits.texts)
        self._under_way = 0

    @property
    def writes(self) -> bool:
        """Whether the bundle writes text."""
        return Ability.TEXT in abilities(self.engine.manifest)

    @property
    def traces(self) -> bool:
        """Whether the bundle answers behind every memory block."""
        return Ability.TRACE in abilities(self.engine.manifest)

    @property
    def load(self) -> tuple[int, int]:
        """Questions that wait, and texts that are written or wait."""
        return self._letters.waiting, self._under_way

    async def ask(self, question: Question, blocks: int | None) -> Answer:
        """Answer with a letter. Raises what `Engine.ask` does, BusyError and TimeoutError."""
        async with asyncio.timeout(self.limits.seconds):
            return await self._letters.ask(question, blocks)

    async def work(self, work: Callable[[Cancellation], Result]) -> Result:
        """Do what takes the decoder for a while, in its turn. Raises what it does, BusyError and TimeoutError."""
        async with asyncio.timeout(self.limits.seconds), self._turn():
            return await in_thread(work)

    async def write(self, question: Question, wish: Mapping[str, Any]) -> Pieces:
        """Give a text piece by piece as it comes, then its stream, which has the result.

        `wish` has the options of `Engine.generate`. A reader that is slow does not hold it up: it is written as
        fast as it can be. Raises what `Engine.generate` and its iteration do, BusyError and TimeoutError.
        """
        pieces: asyncio.Queue[str | AsyncTextStream | Exception] = asyncio.Queue()
        writing = asyncio.create_task(self._write(question, wish, pieces))
        try:
            while True:
                piece = await pieces.get()
                if isinstance(piece, Exception):
                    raise piece
                yield piece
                if isinstance(piece, AsyncTextStream):
                    return
        finally:
            writing.cancel()
            await asyncio.wait([writing])

    async def _write(
        self, question: Question, wish: Mapping[str, Any], pieces: asyncio.Queue[str | AsyncTextStream | Exception]
    ) -> None:
        try:
            async with asyncio.timeout(self.limits.seconds), self._turn():
                stream = self.engine.generate_async(question, **wish)
                async for piece in stream:
                    pieces.put_nowait(piece)
                self.metrics.tokens += len((await stream.result()).tokens)
                pieces.put_nowait(stream)
        except Exception as error:  # noqa: BLE001 (it is raised where the pieces are read)
            pieces.put_nowait(error)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._under_way >= self.limits.texts + self.limits.waiting:
            raise BusyError(f"{self._under_way:,} texts are being written or wait already. Ask again later.")
        self._under_way += 1
        try:
            async with self._texts:
                yield
        finally:
            self._under_way -= 1


async def finished(pieces: Pieces) -> Text:
    """Return a text that `Service.write` gives, whole. Raises what that does."""
    async with aclosing(pieces):
        async for piece in pieces:
            if isinstance(piece, AsyncTextStream):
                return await piece.result()
    raise AssertionError("a text ends with its stream")
