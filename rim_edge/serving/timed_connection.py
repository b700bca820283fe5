"""One HTTP connection, and how long its client may take: to send what it has begun, and to read what it asked for.

uvicorn waits for both without end: `close` of a transport keeps what is not read yet until somebody reads it.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from rim_edge.serving.limits import Limits
from rim_edge.serving.refusals import RequestError, error_body


class TimedConnection(H11Protocol):
    """uvicorn's connection with an end to its patience."""

    def __init__(self, limits: Limits, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._limits = limits
        self._unsent: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for its first request."""
        super().connection_made(transport)
        self._unsent = self.loop.call_later(self._limits.idle_seconds, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        for timer in (self._unsent, self._unread):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        is_new = not self._is_half_sent()
        super().data_received(data)
        self._expect(is_new)

    def on_response_complete(self) -> None:
        """Look whether the answer is on its way, and whether another request has begun."""
        super().on_response_complete()
        self._expect(is_new=True)
        if self._unread is None and self.transport.get_write_buffer_size():
            self._unread = self.loop.call_later(self._limits.send_seconds, self._leave_unread)

    def pause_writing(self) -> None:
        """Begin to wait for its client to read."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(self._limits.send_seconds, self._leave_unread)

    def resume_writing(self) -> None:
        """Wait no more: it reads."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def timeout_keep_alive_handler(self) -> None:
        """Close what is idle, with whatever was not read."""
        super().timeout_keep_alive_handler()
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def _is_half_sent(self) -> bool:
        """Whether the beginning of a request is there and its end is not."""
        theirs = self.conn.their_state
        return theirs is h11.SEND_BODY or (theirs is h11.IDLE and bool(self.conn.trailing_data[0]))

    def _expect(self, is_new: bool) -> None:
        """Give a request that has begun its time, from its first byte on."""
        half_sent = self._is_half_sent() and not self.transport.is_closing()
        if self._unsent is not None and (is_new or not half_sent):
            self._unsent.cancel()
            self._unsent = None
        if half_sent and self._unsent is None:
            self._unsent = self.loop.call_later(self._limits.receive_seconds, self._refuse_unsent)

    def _leave_unread(self) -> None:
        self._unread = None
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def _refuse_unsent(self) -> None:
        words = f"The request did not end within {self._limits.receive_seconds:g} s. Send it at once."
        body = json.dumps(error_body(RequestError(408, words))).encode()
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        try:
            parts = (h11.Response(status_code=408, headers=headers), h11.Data(data=body), h11.EndOfMessage())
            self.transport.write(b"".join(self.conn.send(part) or b"" for part in parts))
        except h11.LocalProtocolError:  # its answer has begun, such as 413
            self.transport.abort()
            return
        self.transport.close()
