"""Requests and replies of HTTP: JSON in, JSON out, and errors with their status."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rim_edge.errors import BusyError
from rim_edge.serving.refusals import RequestError, error_body, status_of
from rim_edge.serving.requests import read_object

Result = TypeVar("Result")


async def read_json(request: Request, most: int) -> dict[str, Any]:
    """Return a request's object. Raises RequestError: another type (415), above `most` bytes (413), no JSON (400).

    A web page of another origin cannot send this type without asking first, and nobody answers it.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RequestError(415, f"The content type is {kind or 'missing'}, expected application/json.")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise RequestError(413, f"The request has more than {most:,} bytes. Send a shorter one.")
    return read_object(body, "body")


async def unless_left(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """Do work for a client, and give it up where that leaves. Raises what it does, and RequestError then."""
    working, leaving = asyncio.create_task(work), asyncio.create_task(_left(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise RequestError(499, "The client has left.")
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.wait((working, leaving))


async def _left(request: Request) -> None:
    """Wait until a client leaves, whose request is read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def refusal(error: Exception) -> Response:
    """Return an error as rim-edge's own routes tell it."""
    return JSONResponse(error_body(error), status_of(error), headers=retry_headers(error))


def retry_headers(error: Exception) -> dict[str, str]:
    """Return the headers that say when to ask again."""
    return {"Retry-After": "1"} if isinstance(error, BusyError) else {}
