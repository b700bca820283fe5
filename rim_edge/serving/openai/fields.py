"""Fields of OpenAI's requests: read, or refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rim_runtime import InputError, Sampling
from rim_runtime.generate.sampling import MOST_SAMPLES
from starlette.responses import JSONResponse, Response

from rim_edge.serving.exchange import retry_headers
from rim_edge.serving.refusals import kind_of, plain, status_of, words_of


class FieldError(InputError):
    """A field of a request cannot be honoured."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


_WITHOUT_EFFECT: Mapping[str, tuple[object, ...]] = {
    "frequency_penalty": (None, 0),
    "presence_penalty": (None, 0),
    "logit_bias": (None, {}),
    "response_format": (None, {"type": "text"}),
    "tools": (None, []),
    "tool_choice": (None, "none"),
    "functions": (None, []),
    "function_call": (None, "none"),
    "modalities": (None, ["text"]),
    "best_of": (None, 1),
    "suffix": (None, ""),
    "stream_options": (None, {}, {"include_usage": False}),
}
"""Fields that this server does not know, and the values that ask for nothing."""
_NOTED = ("model", "user", "store", "metadata", "service_tier", "parallel_tool_calls", "safety_identifier")
"""Fields that change no answer."""
_DRAWS = ("temperature", "top_p", "seed")


@dataclass(frozen=True)
class TextOptions:
    """How a text is written."""

    max_tokens: int | None
    """None: the server's own."""
    stop: tuple[str, ...]
    """Texts at which it ends."""
    sampling: Sampling
    """How tokens are drawn; OpenAI's default is a temperature of 1, and here the likeliest is taken."""
    count: int = 1
    """How many."""
    streams: bool = False
    """Whether it is sent as it comes."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the route's own."""


def read_options(body: Mapping[str, Any], own: tuple[str, ...]) -> TextOptions:
    """Read the fields that texts have in common; `own` are those that the route reads itself.

    Raises FieldError for one that cannot be honoured, whatever it would change.
    """
    known = {
        *own,
        *_NOTED,
        *_DRAWS,
        *_WITHOUT_EFFECT,
        "max_tokens",
        "max_completion_tokens",
        "stop",
        "n",
        "stream",
    }
    for key, value in body.items():
        if key not in known:
            raise FieldError(key, f"{key} is not known here, so the answer would not be what was asked for.")
        if key in _WITHOUT_EFFECT and value not in _WITHOUT_EFFECT[key]:
            raise FieldError(key, f"{key} is {_short(value)}, and this server cannot honour it. Leave it out.")
    limits = [body[key] for key in ("max_tokens", "max_completion_tokens") if body.get(key) is not None]
    most = None if not limits else _whole("max_tokens", limits[-1], 0)
    drawn = {key: body[key] for key in _DRAWS if body.get(key) is not None}
    streams = body.get("stream") or False
    if not isinstance(streams, bool):
        raise FieldError("stream", f"stream is {_short(streams)}, expected true or false.")
    return TextOptions(
        max_tokens=most,
        stop=_stops(body.get("stop")),
        sampling=Sampling(**drawn),
        count=_whole("n", 1 if body.get("n") is None else body["n"], 1, MOST_SAMPLES),
        streams=streams,
        values={key: body.get(key) for key in own},
    )


def whole_or_none(body: Mapping[str, Any], key: str, most: int) -> int | None:
    """Return a whole number from 0 to `most`, or None. Raises FieldError."""
    value = body.get(key)
    if value is None or value is False:
        return None
    return _whole(key, value, 0, most)


def _whole(key: str, value: object, least: int, most: int | None = None) -> int:
    if type(value) is not int or value < least:
        raise FieldError(key, f"{key} is {_short(value)}, expected a whole number from {least}.")
    if most is not None and value > most:
        raise FieldError(key, f"{key} is {_short(value)}, expected {most:,} at most.")
    return value


def _stops(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(one, str) and one for one in listed):
        raise FieldError("stop", f"stop is {_short(value)}, expected a text or a list of texts.")
    return tuple(listed)


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:59]}…"


def openai_refusal(error: Exception) -> Response:
    """Return an error as OpenAI's clients read it."""
    status = status_of(error)
    kind = "invalid_request_error" if status < 500 else "server_error"
    param = plain(error.param) if isinstance(error, FieldError) else None
    body = {"error": {"message": words_of(error), "type": kind, "param": param, "code": kind_of(error)}}
    return JSONResponse(body, status, headers=retry_headers(error))
