"""rim-edge's own routes: a letter, a text, a trace, and how the server is."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from rim_runtime import InputError, Sampling, read_row
from rim_runtime.generate.async_stream import AsyncTextStream
from rim_runtime.question import Question
from rim_runtime.version import __version__
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from rim_edge.serving.exchange import kind_of, read_json, refusal, words_of
from rim_edge.serving.service import Service

STREAM = "text/event-stream"
_OPTIONS = ("blocks", "max_tokens", "stop", "temperature", "top_p", "seed", "latent_steps", "stream")
"""Keys besides the question's own (docs/rows.md)."""


class NativeRoutes:
    """The routes of one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def ask(self, request: Request) -> Response:
        """Answer a question with a letter: the fields of `Answer`."""
        try:
            body = await read_json(request, self._service.limits.body_bytes)
            question, options = _read(body)
            _refuse_others(options, ("blocks",), "/ask")
            answer = await self._service.ask(question, _blocks(options))
            return JSONResponse(dataclasses.asdict(answer))
        except Exception as error:  # noqa: BLE001 (every error has a status)
            return refusal(error)

    async def trace(self, request: Request) -> Response:
        """Answer behind every number of memory blocks: the fields of `Trace`."""
        try:
            body = await read_json(request, self._service.limits.body_bytes)
            question, options = _read(body)
            _refuse_others(options, (), "/trace")
            engine = self._service.engine
            found = await self._service.work(
                lambda cancel: engine.trace(question.text, question.choices, cancel=cancel)
            )
            return JSONResponse(dataclasses.asdict(found))
        except Exception as error:  # noqa: BLE001
            return refusal(error)

    async def generate(self, request: Request) -> Response:
        """Answer in words: the fields of `Text`, or with `"stream": true` events, one a piece."""
        try:
            body = await read_json(request, self._service.limits.body_bytes)
            question, options = _read(body)
            streams = options.pop("stream", False)
            if not isinstance(streams, bool):
                raise InputError(f"stream is {streams!r}, expected true or false.")
            pieces = self._service.write(question, _wish(options))
            first = await anext(pieces)  # what cannot be asked is refused with a status, not in the stream
            if streams:
                return StreamingResponse(_events(first, pieces), media_type=STREAM)
            stream = first if isinstance(first, AsyncTextStream) else await _last(pieces)
            return JSONResponse(dataclasses.asdict(await stream.result()))
        except Exception as error:  # noqa: BLE001
            return refusal(error)

    async def health(self, request: Request) -> Response:
        """Say what answers here."""
        del request
        engine = self._service.engine
        waiting, writing = self._service.load
        manifest = engine.manifest
        return JSONResponse(
            {
                "status": "ok",
                "bundle": engine.bundle,
                "manifest_sha256": manifest.sha256,
                "engine": engine.name,
                "precision": engine.precision,
                "blocks": manifest.prompt.blocks,
                "letters": list(manifest.letters),
                "text": self._service.writes,
                "trace": self._service.traces,
                "waiting": waiting,
                "writing": writing,
                "version": __version__,
            }
        )

    async def metrics(self, request: Request) -> Response:
        """Return the counts, as Prometheus reads them."""
        del request
        return PlainTextResponse(
            self._service.metrics.text(*self._service.load), media_type="text/plain; version=0.0.4"
        )


def _read(body: Mapping[str, Any]) -> tuple[Question, dict[str, Any]]:
    """Return the question of a body, in any of the forms of docs/rows.md, and its options. Raises RowError."""
    options = {key: body[key] for key in _OPTIONS if key in body}
    row = read_row({key: value for key, value in body.items() if key not in _OPTIONS})
    if row.ignored:
        raise InputError(f"Nothing reads {', '.join(row.ignored)}, expected a question and {', '.join(_OPTIONS)}.")
    return row.question, options


def _refuse_others(options: Mapping[str, Any], known: tuple[str, ...], route: str) -> None:
    if others := [key for key in options if key not in known]:
        raise InputError(f"{route} does not take {', '.join(others)}: it answers with letters. /generate does.")


def _blocks(options: Mapping[str, Any]) -> int | None:
    blocks = options.get("blocks")
    if blocks is not None and type(blocks) is not int:
        raise InputError(f"blocks is {blocks!r}, expected a whole number.")
    return blocks


def _wish(options: Mapping[str, Any]) -> dict[str, Any]:
    drawn = {key: options[key] for key in ("temperature", "top_p", "seed") if options.get(key) is not None}
    named = ("blocks", "max_tokens", "stop", "latent_steps")
    values = {key: options[key] for key in named if options.get(key) is not None}
    return {**values, "sampling": Sampling(**drawn)}


async def _last(pieces: AsyncIterator[str | AsyncTextStream]) -> AsyncTextStream:
    async for piece in pieces:
        if isinstance(piece, AsyncTextStream):
            return piece
    raise AssertionError("a text ends with its stream")


async def _events(
    first: str | AsyncTextStream, pieces: AsyncIterator[str | AsyncTextStream]
) -> AsyncIterator[str]:
    """Give server-sent events: `{"piece": …}` for each, then the whole `{"text": …}`, or `{"error": …}`."""
    try:
        piece: str | AsyncTextStream = first
        while not isinstance(piece, AsyncTextStream):
            yield event({"piece": piece})
            piece = await anext(pieces)
        yield event(dataclasses.asdict(await piece.result()))
    except Exception as error:  # noqa: BLE001 (the status is sent already)
        yield event({"error": {"kind": kind_of(error), "message": words_of(error)}})


def event(body: Mapping[str, Any]) -> str:
    """Return one server-sent event."""
    return f"data: {json.dumps(body)}\n\n"
