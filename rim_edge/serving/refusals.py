"""Why a request is not answered: its status as HTTP counts them, its kind for programs, its words."""

from __future__ import annotations

import logging
from enum import StrEnum

from rim_runtime.errors import (
    CheckError,
    EngineClosedError,
    InputError,
    RimError,
    UnavailableError,
    error_to_json,
)

from rim_edge.errors import BusyError

_LOG = logging.getLogger("rim_edge.serving")
"""Unless the program that serves says otherwise, it writes to stderr."""
_LOGGED = "is_logged"
"""What an error is marked with once it is in the log: one error may be told to all whose questions it cost."""


class ServerKind(StrEnum):
    """Kinds of errors that a server alone has; all others are those of our errors."""

    BAD_REQUEST = "bad-request"
    """A RequestError."""
    TIMEOUT = "timeout"
    """The answer took too long."""
    SERVER_ERROR = "server-error"
    """An error that nobody foresaw."""


class RequestError(Exception):
    """A request that cannot be answered, whatever it asks for."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


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
    """Return an error's message for the one who asked; of one that nobody foresaw, its kind alone.

    That one is written to the log, once.
    """
    if isinstance(error, RequestError | RimError):
        return plain(str(error))
    if isinstance(error, TimeoutError):
        return "The answer took longer than this server allows. Ask for less, or start it with more --seconds."
    if not hasattr(error, _LOGGED):
        setattr(error, _LOGGED, True)
        _LOG.error("A request failed, which is a fault of rim-edge or of a library below it:", exc_info=error)
    return f"The server failed ({type(error).__name__}). Its own log says more."


def plain(text: str) -> str:
    """Return a text that can be sent: half a character, which a client may have sent as a name, is written out."""
    return text.encode("utf-8", "backslashreplace").decode()


def kind_of(error: Exception) -> str:
    """Return an error's name for programs."""
    if isinstance(error, RimError):
        return str(error_to_json(error)["kind"])
    if isinstance(error, TimeoutError):
        return ServerKind.TIMEOUT
    return ServerKind.BAD_REQUEST if isinstance(error, RequestError) else ServerKind.SERVER_ERROR


def error_body(error: Exception) -> dict[str, dict[str, str]]:
    """Return an error as rim-edge's own routes and lines tell it."""
    return {"error": {"kind": kind_of(error), "message": words_of(error)}}
