"""One thread that makes all calls of a GPU engine.

CUDA's current device and ONNX Runtime's captured graphs belong to a thread. With a thread of its own an engine
neither depends on the host program's device nor changes it, and needs no lock.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from rim_runtime.engines.graph import forked
from rim_runtime.errors import EngineClosedError

Result = TypeVar("Result")


class OwnThread:
    """The thread of one engine; calls wait for those before them."""

    def __init__(self, engine: str) -> None:
        self._engine, self._process = engine, os.getpid()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"rim-{engine}")

    def call(self, work: Callable[..., Result], *given: object) -> Result:
        """Do the work there and return its result, or raise its error, which keeps nothing of what was given.

        Raises EngineClosedError after `close`, and EngineFailedError in a forked process: threads do not follow.
        """
        if os.getpid() != self._process:
            raise forked(self._engine)
        try:
            future = self._pool.submit(_without_frames, work, *given)
        except RuntimeError:  # it was shut down
            raise EngineClosedError from None
        return future.result()

    def later(self, work: Callable[[], object]) -> None:
        """Do the work when the thread is free; its errors are lost."""
        try:
            self._pool.submit(work)
        except RuntimeError:  # it was shut down
            return

    def close(self, last: Callable[[], None]) -> None:
        """Do the last work there, after all other, and end the thread; a second time does nothing."""
        if os.getpid() != self._process:
            return
        try:
            self.call(last)
        except EngineClosedError:
            return
        finally:
            self._pool.shutdown()


def forget_frames(error: BaseException) -> None:
    """Empty the frames of an error and its causes: whoever keeps it must not keep a session with its weights.

    What a nested function takes from around it is not emptied; so such things are given as arguments.
    """
    found: BaseException | None = error
    while found is not None:
        traceback.clear_frames(found.__traceback__)
        found = found.__cause__ or found.__context__


def _without_frames(work: Callable[..., Result], *given: object) -> Result:
    try:
        return work(*given)
    except BaseException as error:
        forget_frames(error)
        raise
