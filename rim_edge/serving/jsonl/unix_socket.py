"""One connection of a Unix socket as a transport."""

from __future__ import annotations

import asyncio

from rim_edge.serving.jsonl.transport import CHUNK, is_hung_up


class SocketTransport:
    """Carries the lines of a client among several: one that does not read is left."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, send_seconds: float) -> None:
        self._reader, self._writer, self._seconds = reader, writer, send_seconds
        self._turn = asyncio.Lock()

    async def read(self) -> bytes:
        """Return some bytes as they come; none at the end, and when the client is gone."""
        try:
            return await self._reader.read(CHUNK)
        except OSError:
            return b""

    async def write(self, line: bytes) -> None:
        """Send a line. Raises ConnectionError for a client that is gone, or has not read for too long."""
        async with self._turn:
            if self._writer.is_closing():
                raise ConnectionResetError("The connection is closed.")
            self._writer.write(line)
            try:
                async with asyncio.timeout(self._seconds):
                    await self._writer.drain()
            except TimeoutError:
                self.abort()
                raise ConnectionAbortedError(f"The client has not read for {self._seconds:g} s.") from None

    def is_gone(self) -> bool:
        """Whether nobody is left at the other end (Linux)."""
        number = self._writer.get_extra_info("socket").fileno()
        return number < 0 or is_hung_up(number)

    async def close(self) -> None:
        """Close it once what was sent is read, or has not been for too long."""
        self._writer.close()
        try:
            async with asyncio.timeout(self._seconds):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self.abort()

    def abort(self) -> None:
        """Cut it, whatever is not read yet."""
        self._writer.transport.abort()
