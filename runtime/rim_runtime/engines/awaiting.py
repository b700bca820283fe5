"""Work of an engine awaited by asyncio: it runs in a thread, and a task that is cancelled gives it up."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from rim_runtime.engines.cancellation import Cancellation

if TYPE_CHECKING:
    import asyncio

Result = TypeVar("Result")


async def in_thread(work: Callable[[Cancellation], Result]) -> Result:
    """Do the work in a thread of the loop's executor and return its result, or raise its error.

    If the awaiting task is cancelled, so is the work; the CancelledError of asyncio comes once the work has ended,
    so that whoever catches it may close what the work used. Work that has not begun is not waited for.
    """
    import asyncio  # a program that awaits has it; others start faster without

    given_up, begun = Cancellation(), threading.Event()

    def begin() -> Result:
        begun.set()
        given_up.check()
        return work(given_up)

    in_context = partial(contextvars.copy_context().run, begin)
    future = asyncio.get_running_loop().run_in_executor(None, in_context)
    try:
        await asyncio.wait([future])  # other than awaiting the future itself, this does not cancel it
    except asyncio.CancelledError:
        given_up.cancel()
        future.add_done_callback(_forget)
        while begun.is_set() and not future.done():
            with suppress(asyncio.CancelledError):  # a second one; the first is raised below
                await asyncio.wait([future])
        raise
    return future.result()


def _forget(future: asyncio.Future[Result]) -> None:
    """Look at an error, so that asyncio does not report it as one that nobody saw."""
    if not future.cancelled():
        future.exception()
