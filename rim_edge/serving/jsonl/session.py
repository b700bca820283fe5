"""One client's requests, a line each, and their answers, in the order in which they are ready.

Every request has one last line: its answer or its error. The pieces of a streamed text stand before it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from rim_runtime import InputError
from rim_runtime.generate.async_stream import AsyncTextStream

from rim_edge.serving.jsonl.lines import Line, Lines
from rim_edge.serving.jsonl.transport import ClientGoneError, Transport
from rim_edge.serving.refusals import RequestError, error_body
from rim_edge.serving.requests import answer, health, read_object, trace, whole, write
from rim_edge.serving.service import Service

SCHEMA_VERSION = 1
"""Of each line (docs/schemas/serve-jsonl.json)."""
_LOOK = 0.25
"""Seconds after which is looked again whether a client that asks nothing more is still there."""
_CANCELLED = {"error": {"kind": "cancelled", "message": "It was cancelled, as its client asked."}}
_WORDS = ("ask", "generate", "trace", "health", "cancel")


class Session:
    """One client of a service."""

    def __init__(self, service: Service, transport: Transport, *, line_seconds: float | None) -> None:
        """Answer the lines of `transport`; `line_seconds` is how long one may take to arrive, None any time."""
        self._service, self._transport = service, transport
        limits = service.limits
        self._lines = Lines(transport.read, limits.body_bytes, line_seconds)
        self._room = asyncio.Semaphore(min(limits.lines, limits.waiting))
        self._open: set[asyncio.Task[None]] = set()
        self._by_id: dict[str, set[asyncio.Task[dict[str, Any]]]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._is_stopped = False

    async def run(self) -> None:
        """Answer until the lines end, and each has its answer. Raises ClientGoneError."""
        try:
            async with asyncio.TaskGroup() as group:
                self._reading = group.create_task(self._read(group))
                if self._is_stopped:
                    self._reading.cancel()
                await asyncio.wait([self._reading])
                while self._open:
                    if self._transport.is_gone():
                        raise ClientGoneError(BrokenPipeError("The client is gone."))
                    await asyncio.wait(self._open, timeout=_LOOK)
        except* ClientGoneError as gone:
            raise _first(gone) from None

    def stop(self) -> None:
        """Read no further lines; those that were read have their answers."""
        self._is_stopped = True
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self, group: asyncio.TaskGroup) -> None:
        async for line in self._lines:
            await self._room.acquire()
            task = group.create_task(self._answer(line))
            self._open.add(task)
            task.add_done_callback(self._close)

    def _close(self, task: asyncio.Task[None]) -> None:
        self._open.discard(task)
        self._room.release()

    async def _answer(self, line: Line) -> None:
        head: dict[str, Any] = {"line": line.number}
        try:
            if isinstance(line.content, RequestError):
                raise line.content
            body = read_object(line.content, "line")
            if "id" in body:
                head = {"id": body["id"], **head}
            last = await self._cancellable(body, head)
        except ClientGoneError:
            raise
        except Exception as error:  # noqa: BLE001 (every error is told)
            last = error_body(error)
        await self._send({**head, **last})

    async def _cancellable(self, body: dict[str, Any], head: Mapping[str, Any]) -> dict[str, Any]:
        """Return a request's last line. Its client may give it up by its id."""
        do = body.pop("do", "ask")
        key = _key(body.pop("id")) if "id" in body else ""
        if do == "cancel":
            return self._cancel(body, key)
        work = asyncio.create_task(self._last(do, body, head))
        self._by_id.setdefault(key, set()).add(work)
        try:
            return await work
        except asyncio.CancelledError:
            if (this := asyncio.current_task()) is None or this.cancelling():
                raise
            return _CANCELLED
        finally:
            self._by_id[key].discard(work)
            if not self._by_id[key]:
                del self._by_id[key]

    def _cancel(self, body: Mapping[str, Any], key: str) -> dict[str, Any]:
        if body or not key:
            found_instead = f"Nothing reads {', '.join(body)}" if body else "There is no id"
            raise InputError(f"{found_instead}, expected the id of what is cancelled alone.")
        found = self._by_id.get(key, set())
        for work in found:
            work.cancel()
        return {"cancelled": len(found)}

    async def _last(self, do: object, body: dict[str, Any], head: Mapping[str, Any]) -> dict[str, Any]:
        """Send what comes before a request's last line, and return that."""
        match do:
            case "ask":
                return await answer(self._service, body)
            case "trace":
                return await trace(self._service, body)
            case "generate":
                return await self._write(body, head)
            case "health":
                if body:
                    raise InputError(f"Nothing reads {', '.join(body)}: health takes nothing.")
                return health(self._service)
            case _:
                raise InputError(f"do is {str(do)[:60]!r}, expected one of: {', '.join(_WORDS)}.")

    async def _write(self, body: dict[str, Any], head: Mapping[str, Any]) -> dict[str, Any]:
        writing = write(self._service, body)
        if not writing.streams:
            return await whole(writing.pieces)
        async with aclosing(writing.pieces):
            async for piece in writing.pieces:
                if isinstance(piece, AsyncTextStream):
                    return dataclasses.asdict(await piece.result())
                await self._send({**head, "piece": piece})
        raise AssertionError("a text ends with its stream")

    async def _send(self, body: Mapping[str, Any]) -> None:
        line = json.dumps({"schema_version": SCHEMA_VERSION, **body})
        try:
            await self._transport.write(line.encode() + b"\n")
        except OSError as error:
            raise ClientGoneError(error) from error


def _key(given: object) -> str:
    """Return the same text for the same id."""
    return json.dumps(given, sort_keys=True)


def _first(group: BaseExceptionGroup[ClientGoneError]) -> ClientGoneError:
    """Return one of a group's errors: one client is gone, whoever noticed it."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, ClientGoneError)
    return error
