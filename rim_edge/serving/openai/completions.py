"""`/v1/completions`: a bare text goes on, and how probable its tokens are (`echo`, `logprobs`).

Evaluation clients score an answer by `echo` with `logprobs`; a server that leaves either out in silence puts
every score at chance. The prompt is read as it stands: no template, no memory blocks. It may be token ids, or
several prompts.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from rim_runtime.engine import Engine
from rim_runtime.generate.scoring import ScoredToken
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rim_edge.serving.exchange import read_json, unless_left
from rim_edge.serving.openai.fields import FieldError, TextOptions, openai_refusal, read_options, whole_or_none
from rim_edge.serving.service import Service

_MOST_LOGPROBS = 20
_USUAL_TOKENS = 16
"""OpenAI's own default of max_tokens here."""
_OWN = ("prompt", "echo", "logprobs")
Prompt = str | tuple[int, ...]


class CompletionsRoute:
    """The route of one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, request: Request) -> Response:
        """Go on with each prompt, and tell what was asked of its tokens."""
        try:
            body = await read_json(request, self._service.limits.body_bytes)
            options = read_options(body, _OWN)
            _refuse(options)
            top = whole_or_none(body, "logprobs", _MOST_LOGPROBS)
            more = _USUAL_TOKENS if options.max_tokens is None else options.max_tokens
            choices, counts = [], [0, 0]
            for number, prompt in enumerate(_prompts(body.get("prompt"))):
                tokens = await unless_left(
                    request, self._service.work(_scoring(self._service.engine, prompt, more, top or 0))
                )
                self._service.metrics.tokens += sum(one.written for one in tokens)
                choices.append(_choice(number, tokens, bool(body.get("echo")), top, more))
                for one in tokens:
                    counts[one.written] += 1
            return JSONResponse(_body(self._service.engine.bundle, choices, counts))
        except Exception as error:  # noqa: BLE001 (every error has a status)
            return openai_refusal(error)


def _scoring(engine: Engine, prompt: Prompt, more: int, top: int) -> Any:
    return lambda cancel: engine.score(prompt, more=more, top=top, cancel=cancel)


def _refuse(options: TextOptions) -> None:
    """Raise FieldError for what other routes can."""
    for key, given in (
        ("stream", options.streams),
        ("n", options.count > 1),
        ("stop", options.stop),
        ("temperature", options.sampling.temperature),
    ):
        if given:
            raise FieldError(
                key,
                f"{key} is not honoured here: the likeliest tokens follow a bare prompt. Leave it out, or take "
                "/v1/chat/completions.",
            )


def _prompts(value: object) -> list[Prompt]:
    """Return the prompts: one or several texts, or lists of token ids. Raises FieldError."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and value:
        if all(type(one) is int for one in value):
            return [tuple(value)]
        if all(isinstance(one, str) for one in value):
            return list(value)
        if all(isinstance(one, list) and one and all(type(token) is int for token in one) for one in value):
            return [tuple(one) for one in value]
    raise FieldError(
        "prompt", "prompt is no text, no list of token ids, and no list of such, expected one of them."
    )


def _choice(number: int, tokens: Sequence[ScoredToken], echo: bool, top: int | None, more: int) -> dict[str, Any]:
    shown = [one for one in tokens if echo or one.written]
    is_cut = sum(one.written for one in tokens) == more
    return {
        "index": number,
        "text": "".join(one.text for one in shown),
        "logprobs": None if top is None else _logprobs(shown, top),
        "finish_reason": "length" if is_cut else "stop",
    }


def _logprobs(tokens: Sequence[ScoredToken], top: int) -> dict[str, Any]:
    offsets, at = [], 0
    for one in tokens:
        offsets.append(at)
        at += len(one.text)
    return {
        "tokens": [one.text for one in tokens],
        "token_logprobs": [one.logprob for one in tokens],
        "top_logprobs": [_top(one) for one in tokens] if top else None,
        "text_offset": offsets,
    }


def _top(token: ScoredToken) -> Mapping[str, float] | None:
    """Return the likeliest tokens by their ids: texts are not unique, as parts of characters look alike."""
    if token.logprob is None:
        return None
    return {f"token_id:{one}": logprob for one, logprob in token.top.items()}


def _body(model: str, choices: list[dict[str, Any]], counts: Sequence[int]) -> dict[str, Any]:
    given, written = counts
    return {
        "id": f"cmpl-{uuid.uuid4().hex}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": model,
        "choices": choices,
        "usage": {"prompt_tokens": given, "completion_tokens": written, "total_tokens": given + written},
    }
