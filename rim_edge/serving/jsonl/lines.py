"""Bytes as they come, as lines: none fills the memory, and none that was begun is waited for too long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from rim_edge.serving.refusals import RequestError

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Line:
    """A line that is not empty, or the reason why there is none."""

    number: int
    """From 1, empty ones counted."""
    content: bytes | RequestError


class Lines:
    """The lines of one client. `read` gives some bytes, none at the end."""

    def __init__(self, read: Callable[[], Awaitable[bytes]], most: int, seconds: float | None) -> None:
        """Take lines of up to `most` bytes, each within `seconds` of its first byte; None: whenever it ends."""
        self._read, self._most, self._seconds = read, most, seconds
        self._kept, self._number, self._is_cut = bytearray(), 1, False
        self._deadline: float | None = None

    async def __aiter__(self) -> AsyncIterator[Line]:
        """Give each line as soon as it is whole. One that takes too long is the last."""
        while True:
            try:
                async with asyncio.timeout_at(self._deadline):
                    chunk = await self._read()
            except TimeoutError:
                words = f"The line did not end within {self._seconds:g} s. Send whole lines."
                yield Line(self._number, RequestError(408, words))
                return
            *ended, rest = chunk.split(b"\n")
            for part in ended:
                if (line := self._end(part)) is not None:
                    yield line
            self._keep(rest)
            if not chunk:
                if (line := self._end(b"")) is not None:
                    yield line
                return

    def _keep(self, part: bytes) -> None:
        """Keep the beginning of a line, as much of it as a line may have."""
        self._is_cut = self._is_cut or len(self._kept) + len(part) > self._most
        if self._is_cut:
            self._kept.clear()
        else:
            self._kept += part
        if not (self._kept or self._is_cut):
            self._deadline = None
        elif self._deadline is None and self._seconds is not None:
            self._deadline = asyncio.get_running_loop().time() + self._seconds

    def _end(self, part: bytes) -> Line | None:
        """Return the line that ends with a part; None for an empty one."""
        self._keep(part)
        content, is_cut, number = bytes(self._kept), self._is_cut, self._number
        self._kept, self._number, self._is_cut, self._deadline = bytearray(), number + 1, False, None
        if is_cut:
            words = f"The line has more than {self._most:,} bytes. Send a shorter one."
            return Line(number, RequestError(413, words))
        if number == 1:
            content = content.removeprefix(_BYTE_ORDER_MARK)
        return Line(number, content) if content.strip() else None
