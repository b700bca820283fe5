"""Stdin and stdout as a transport: pipes, files or a terminal, read and written in threads of their own.

asyncio's own pipes take no files, and none of these on Windows. The threads use the numbers and no Python file,
and are daemons: neither a parent that writes nothing nor one that reads nothing keeps the process from its end.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import Callable
from contextlib import suppress

from rim_edge.serving.jsonl.transport import CHUNK, is_hung_up

_AHEAD = 4
"""Chunks that may be read before they are wanted; then the one who writes waits."""


class StdioTransport:
    """Carries the lines of whoever started this process. That may take its time: nobody else waits."""

    def __init__(self, source: int, target: int) -> None:
        """Begin to read the file number `source`; answers go to `target`. For the event loop that runs."""
        self._source, self._target, self._loop = source, target, asyncio.get_running_loop()
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue()
        self._ahead = threading.Semaphore(_AHEAD)
        self._lines: queue.SimpleQueue[tuple[bytes, asyncio.Future[None]]] = queue.SimpleQueue()
        for work in (self._reading, self._writing):
            threading.Thread(target=work, name=f"rim-edge {work.__name__}", daemon=True).start()

    async def read(self) -> bytes:
        """Return some bytes as they come; none at the end."""
        chunk = await self._chunks.get()
        self._ahead.release()
        return chunk

    async def write(self, line: bytes) -> None:
        """Send a line; wait until it is written. Raises OSError."""
        written = self._loop.create_future()
        self._lines.put((line, written))
        await written

    def is_gone(self) -> bool:
        """Whether nobody reads stdout any more (Linux)."""
        return is_hung_up(self._target)

    def _reading(self) -> None:
        chunk = b"."
        while chunk:
            self._ahead.acquire()
            try:
                chunk = os.read(self._source, CHUNK)
            except OSError:  # as good as its end
                chunk = b""
            if not self._call(self._chunks.put_nowait, chunk):
                return

    def _writing(self) -> None:
        failed: OSError | None = None
        while True:
            line, written = self._lines.get()
            try:
                while line and not failed:
                    line = line[os.write(self._target, line) :]
            except OSError as error:  # what was half written stays so: nothing may follow it
                failed = error
            if not self._call(_settle, written, failed):
                return

    def _call(self, work: Callable[..., object], *values: object) -> bool:
        """Let the event loop do something; return whether there still is one."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(work, *values)
            return True
        return False


def _settle(written: asyncio.Future[None], failed: OSError | None) -> None:
    if written.done():  # given up meanwhile
        return
    if failed is None:
        written.set_result(None)
    else:
        written.set_exception(failed)
