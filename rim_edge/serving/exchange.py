"""Requests and replies: JSON in, JSON out, and errors with their status."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rim_runtime.errors import (
    CheckError,
    EngineClosedError,
    InputError,
    RimError,
    UnavailableError,
    error_to_json,
)
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rim_edge.errors import BusyError


class RequestError(Exception):
    """A request that cannot be answered, whatever it asks for."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def read_json(request: Request, most: int) -> Mapping[str, Any]:
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
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"The body is no JSON ({type(error).__name__}: {str(error)[:80]}).") from None
    if not isinstance(found, dict):
        raise RequestError(400, f"The body is a {type(found).__name__}, expected an object.")
    return found


def status_of(error: Exception) -> int:
    """Return the HTTP status of an error."""
    match error:
        case RequestError():
            return error.status
        case BusyError():
            return 503
        case TimeoutError():
            return 504
        case InputError():
            return 400
        case UnavailableError() | CheckError():
            return 501
        case EngineClosedError():
            return 503
        case _:
            return 500


def words_of(error: Exception) -> str:
    """Return an error's message for the one who asked; of one that nobody foresaw, its kind alone."""
    if isinstance(error, RequestError | RimError):
        return str(error)
    if isinstance(error, TimeoutError):
        return "The answer took longer than this server allows. Ask for less, or start it with more --seconds."
    return f"The server failed ({type(error).__name__}). Its own log says more."


def kind_of(error: Exception) -> str:
    """Return an error's name for programs."""
    if isinstance(error, RimError):
        return str(error_to_json(error)["kind"])
    if isinstance(error, TimeoutError):
        return "timeout"
    return "bad-request" if isinstance(error, RequestError) else "server-error"


def refusal(error: Exception) -> Response:
    """Return an error as rim-edge's own routes tell it."""
    body = {"error": {"kind": kind_of(error), "message": words_of(error)}}
    return JSONResponse(body, status_of(error), headers=retry_headers(error))


def retry_headers(error: Exception) -> dict[str, str]:
    """Return the headers that say when to ask again."""
    return {"Retry-After": "1"} if isinstance(error, BusyError) else {}
