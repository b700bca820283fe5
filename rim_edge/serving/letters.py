"""Questions of many clients, asked together: what arrives while a batch is being answered is the next batch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from rim_runtime.answer import Answer
from rim_runtime.engine import Engine
from rim_runtime.engines.awaiting import in_thread
from rim_runtime.question import Question

from rim_edge.errors import BusyError
from rim_edge.serving.limits import Limits
from rim_edge.serving.metrics import Metrics


@dataclass(eq=False)
class _Asked:
    question: Question
    blocks: int | None
    answer: asyncio.Future[Answer]


class LetterBatches:
    """Asks an engine for letters, one batch at a time. For one event loop."""

    def __init__(self, engine: Engine, limits: Limits, metrics: Metrics) -> None:
        self._engine, self._limits, self._metrics = engine, limits, metrics
        self._waiting: list[_Asked] = []
        self._working: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Questions that wait."""
        return len(self._waiting)

    async def ask(self, question: Question, blocks: int | None) -> Answer:
        """Return the answer to a question. Raises what `Engine.ask` does, and BusyError."""
        self._engine.check(question, blocks)  # before it shares a batch with others
        if len(self._waiting) >= self._limits.waiting:
            raise BusyError(f"{len(self._waiting):,} questions are waiting already. Ask again later.")
        asked = _Asked(question, blocks, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        try:
            return await asked.answer
        finally:
            if asked in self._waiting:  # given up before its batch began
                self._waiting.remove(asked)

    async def _work(self) -> None:
        while self._waiting:
            await asyncio.sleep(0)  # let those that arrive at the same time join
            batch = self._take()
            questions = [one.question for one in batch]
            try:
                answers = await in_thread(_asking(self._engine, questions, batch[0].blocks))
            except BaseException as error:
                for one in batch:
                    if not one.answer.done():
                        one.answer.set_exception(error)
                        one.answer.exception()  # it is raised where somebody still waits
                if not isinstance(error, Exception):
                    raise
                continue
            self._metrics.letters += len(batch)
            self._metrics.batches += 1
            for one, answer in zip(batch, answers, strict=True):
                if not one.answer.done():
                    one.answer.set_result(answer)

    def _take(self) -> list[_Asked]:
        """Return those that wait longest and want as many blocks as the first."""
        blocks = self._waiting[0].blocks
        batch = [one for one in self._waiting if one.blocks == blocks][: self._limits.batch]
        self._waiting = [one for one in self._waiting if one not in batch]
        return batch


def _asking(engine: Engine, questions: list[Question], blocks: int | None) -> Callable[..., list[Answer]]:
    return lambda cancel: engine.ask_many(questions, blocks=blocks, cancel=cancel)
