"""SIGINT and SIGTERM end a server well: that is how its work is done. A second one ends it at once."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Ending:
    """What is called when a server is told to end. For the event loop that runs."""

    def __init__(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._calls: list[Callable[[], object]] = []
        self._is_told = False

    @classmethod
    def run(cls, serve: Callable[[Ending], Awaitable[None]]) -> None:
        """Run a server in an event loop of its own. Raises what it does; KeyboardInterrupt at a second signal."""

        async def main() -> None:
            ending = cls()
            with ending._hearing():
                await serve(ending)

        try:
            asyncio.run(main())
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None

    def call(self, work: Callable[[], object]) -> None:
        """Let this be called at the end; at once if that has come."""
        if self._is_told:
            work()
        else:
            self._calls.append(work)

    def tell(self) -> None:
        """Tell the server to end; a second time: at once."""
        if self._is_told and self._task is not None:
            self._task.cancel()
        self._is_told = True
        while self._calls:
            self._calls.pop()()

    @contextmanager
    def _hearing(self) -> Iterator[None]:
        """Hear the signals, and let whoever heard them before hear them again afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def heard(number: int, frame: object) -> None:
            del number, frame
            self._loop.call_soon_threadsafe(self.tell)

        before = {number: signal.signal(number, heard) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
