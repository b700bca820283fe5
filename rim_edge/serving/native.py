"""rim-edge's own routes: a letter, a text, a trace, and how the server is."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from rim_runtime.generate.async_stream import AsyncTextStream
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from rim_edge.serving.exchange import read_json, refusal, unless_left
from rim_edge.serving.refusals import error_body
from rim_edge.serving.requests import answer, health, trace, whole, write
from rim_edge.serving.service import Pieces, Service

STREAM = "text/event-stream"


class NativeRoutes:
    """The routes of one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def ask(self, request: Request) -> Response:
        """Answer a question with a letter: the fields of `Answer`."""
        try:
            body = await read_json(request, self._service.limits.body_bytes)
            return JSONResponse(await answer(self._service, body))
        except Exception as error:  # noqa: BLE001 (every error has a status)
            return refusal(error)

    async def trace(self, request: Request) -> Response:
        """Answer behind every number of memory blocks: the fields of `Trace`."""
        try:
            body = await read_json(request, self._service.limits.body_bytes)
            return JSONResponse(await unless_left(request, trace(self._service, body)))
        except Exception as error:  # noqa: BLE001
            return refusal(error)

    async def generate(self, request: Request) -> Response:
        """Answer in words: the fields of `Text`, or with `"stream": true` events, one a piece."""
        try:
            writing = write(self._service, await read_json(request, self._service.limits.body_bytes))
            if not writing.streams:
                return JSONResponse(await unless_left(request, whole(writing.pieces)))
            first = await anext(writing.pieces)  # what cannot be asked is refused with a status, not in the stream
            return StreamingResponse(_events(first, writing.pieces), media_type=STREAM)
        except Exception as error:  # noqa: BLE001
            return refusal(error)

    async def health(self, request: Request) -> Response:
        """Say what answers here."""
        del request
        return JSONResponse(health(self._service))

    async def metrics(self, request: Request) -> Response:
        """Return the counts, as Prometheus reads them."""
        del request
        return PlainTextResponse(
            self._service.metrics.text(*self._service.load), media_type="text/plain; version=0.0.4"
        )


async def _events(first: str | AsyncTextStream, pieces: Pieces) -> AsyncIterator[str]:
    """Give server-sent events: `{"piece": …}` for each, then the whole `{"text": …}`, or `{"error": …}`."""
    async with aclosing(pieces):
        try:
            piece: str | AsyncTextStream = first
            while not isinstance(piece, AsyncTextStream):
                yield event({"piece": piece})
                piece = await anext(pieces)
            yield event(dataclasses.asdict(await piece.result()))
        except Exception as error:  # noqa: BLE001 (the status is sent already)
            yield event(error_body(error))


def event(body: Mapping[str, Any]) -> str:
    """Return one server-sent event."""
    return f"data: {json.dumps(body)}\n\n"
