"""What may be asked of a service, as JSON objects: a letter, a text, a trace, how it is.

HTTP and JSON lines carry the same objects; how they come and go is none of this file's business.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any, Never

from rim_runtime import InputError, Sampling, read_row
from rim_runtime.question import Question
from rim_runtime.version import __version__

from rim_edge.serving.refusals import RequestError
from rim_edge.serving.service import Pieces, Service, finished

_OPTIONS = ("blocks", "max_tokens", "stop", "temperature", "top_p", "seed", "latent_steps", "stream")
"""Keys besides the question's own (docs/rows.md)."""


def read_object(content: bytes | bytearray, what: str) -> dict[str, Any]:
    """Return the object that a request is; `what` carries it. Raises RequestError."""
    try:
        text = content.decode("utf-8-sig")
        found = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"The {what} is no JSON ({type(error).__name__}: {str(error)[:80]}).") from None
    if not isinstance(found, dict):
        raise RequestError(400, f"The {what} is {_json_kind(found)}, expected an object.")
    return found


def _json_kind(value: object) -> str:
    """Return what JSON calls a value that is no object."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "a number"


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    if math.isfinite(value := float(text)):
        return value
    raise ValueError(f"{text[:40]} is too large for a number")


async def answer(service: Service, body: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a question with a letter: the fields of `Answer`. Raises what `Service.ask` does."""
    question, options = _read(body)
    _refuse_others(options, ("blocks",), "ask")
    return dataclasses.asdict(await service.ask(question, _blocks(options)))


async def trace(service: Service, body: Mapping[str, Any]) -> dict[str, Any]:
    """Answer behind every number of memory blocks: the fields of `Trace`. Raises what `Service.work` does."""
    question, options = _read(body)
    _refuse_others(options, (), "trace")
    engine = service.engine
    found = await service.work(lambda cancel: engine.trace(question.text, question.choices, cancel=cancel))
    return dataclasses.asdict(found)


@dataclasses.dataclass(frozen=True)
class Writing:
    """A text that was asked for."""

    pieces: Pieces
    """What `Service.write` gives."""
    streams: bool
    """Whether its pieces are sent as they come."""


def write(service: Service, body: Mapping[str, Any]) -> Writing:
    """Answer a question in words. Raises InputError; what `Service.write` raises comes with the first piece."""
    question, options = _read(body)
    streams = options.pop("stream", False)
    if not isinstance(streams, bool):
        raise InputError(f"stream is {streams!r}, expected true or false.")
    return Writing(service.write(question, _wish(options)), streams)


async def whole(pieces: Pieces) -> dict[str, Any]:
    """Let a text be written to its end; return the fields of `Text`. Raises what `Service.write` does."""
    return dataclasses.asdict(await finished(pieces))


def health(service: Service) -> dict[str, Any]:
    """Say what answers here."""
    engine, manifest = service.engine, service.engine.manifest
    waiting, writing = service.load
    return {
        "status": "ok",
        "bundle": engine.bundle,
        "manifest_sha256": manifest.sha256,
        "engine": engine.name,
        "precision": engine.precision,
        "blocks": manifest.prompt.blocks,
        "letters": list(manifest.letters),
        "text": service.writes,
        "trace": service.traces,
        "waiting": waiting,
        "writing": writing,
        "version": __version__,
    }


def _read(body: Mapping[str, Any]) -> tuple[Question, dict[str, Any]]:
    """Return the question of a body, in any of the forms of docs/rows.md, and its options. Raises RowError."""
    options = {key: body[key] for key in _OPTIONS if key in body}
    row = read_row({key: value for key, value in body.items() if key not in _OPTIONS})
    if row.ignored:
        raise InputError(f"Nothing reads {', '.join(row.ignored)}, expected a question and {', '.join(_OPTIONS)}.")
    return row.question, options


def _refuse_others(options: Mapping[str, Any], known: tuple[str, ...], name: str) -> None:
    if others := [key for key in options if key not in known]:
        raise InputError(f"{name} does not take {', '.join(others)}: it answers with letters. generate does.")


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
