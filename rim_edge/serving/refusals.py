"""Why a request is not answered: its status as HTTP counts them, its kind for programs, its words."""

from __future__ import annotations

from rim_runtime.errors import (
    CheckError,
    EngineClosedError,
    InputError,
    RimError,
    UnavailableError,
    error_to_json,
)

from rim_edge.errors import BusyError


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


def error_body(error: Exception) -> dict[str, dict[str, str]]:
    """Return an error as rim-edge's own routes and lines tell it."""
    return {"error": {"kind": kind_of(error), "message": words_of(error)}}
