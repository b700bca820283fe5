"""`/v1/chat/completions`: a letter with its log-probabilities where the question has options, else a text.

A RiM model reads one question in its own prompt, so a conversation is one message of the user. Of a question with
options the answer is a letter, read in one pass, and `logprobs` with `top_logprobs` says how probable each offered
letter is among them; with `"rim": {"as": "text"}` it is written instead, where the bundle writes.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from rim_runtime.answer import Answer
from rim_runtime.generate.async_stream import AsyncTextStream
from rim_runtime.generate.text import Ended, Text
from rim_runtime.question import Question
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from rim_edge.serving.exchange import read_json, unless_left
from rim_edge.serving.native import STREAM, event
from rim_edge.serving.openai.fields import (
    FieldError,
    TextOptions,
    openai_refusal,
    read_options,
    whole_or_none,
)
from rim_edge.serving.service import Pieces, Service, finished

_MOST_TOP = 20
"""OpenAI's own limit of top_logprobs."""
_OWN = ("messages", "logprobs", "top_logprobs", "rim")


class ChatRoute:
    """The route of one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, request: Request) -> Response:
        """Answer the one message of a conversation."""
        try:
            body = await read_json(request, self._service.limits.body_bytes)
            options = read_options(body, _OWN)
            question, wish = _question(body.get("messages")), _rim(body.get("rim"))
            if _is_letter(wish, question, self._service.writes):
                return await self._letter(body, question, options, wish)
            return await self._text(request, question, options, wish)
        except Exception as error:  # noqa: BLE001 (every error has a status)
            return openai_refusal(error)

    async def _letter(
        self, body: Mapping[str, Any], question: Question, options: TextOptions, wish: Mapping[str, Any]
    ) -> Response:
        if options.streams:
            raise FieldError("stream", "stream is true, and a letter comes in one piece. Leave it out.")
        if options.sampling.temperature or options.count > 1:
            raise FieldError(
                "temperature" if options.sampling.temperature else "n",
                "A letter is read and not drawn: leave temperature and n out, or ask for text "
                '("rim": {"as": "text"}).',
            )
        top = whole_or_none(body, "top_logprobs", _MOST_TOP)
        tokens = self._service.engine.check(question, wish.get("blocks"))
        answer = await self._service.ask(question, wish.get("blocks"))
        told = _letter_logprobs(answer, top or 0) if body.get("logprobs") else None
        choice = {"index": 0, "message": _message(answer.letter), "logprobs": told, "finish_reason": "stop"}
        rim = {"letter": answer.letter, "choice": answer.choice, "probabilities": dict(answer.probabilities)}
        return JSONResponse(_body("chat.completion", answer.bundle, [choice], _usage(tokens, 1), rim))

    async def _text(
        self, request: Request, question: Question, options: TextOptions, wish: Mapping[str, Any]
    ) -> Response:
        for key in ("logprobs", "top_logprobs"):
            if options.values.get(key):
                raise FieldError(
                    key,
                    f"{key} is told of letters, and this answer is a text. Give options in the question, or score "
                    "a text: /v1/completions with echo and logprobs.",
                )
        values = {"max_tokens": options.max_tokens, "stop": options.stop, "sampling": options.sampling}
        values |= {key: wish[key] for key in ("blocks", "latent_steps") if key in wish}
        if options.count > 1:
            return await self._several(request, question, options, values)
        pieces = self._service.write(question, values)
        if options.streams:
            first = await anext(pieces)
            return StreamingResponse(_chunks(self._service.engine.bundle, first, pieces), media_type=STREAM)
        text = await unless_left(request, finished(pieces))
        return JSONResponse(_body("chat.completion", text.bundle, [_choice(0, text)], _usage_of([text])))

    async def _several(
        self, request: Request, question: Question, options: TextOptions, values: dict[str, Any]
    ) -> Response:
        if options.streams:
            raise FieldError("n", f"n is {options.count}, and one text at a time is streamed. Leave one out.")
        engine = self._service.engine
        work = self._service.work(lambda cancel: engine.sample(question, options.count, **values, cancel=cancel))
        texts = await unless_left(request, work)
        self._service.metrics.tokens += sum(len(text.tokens) for text in texts)
        choices = [_choice(number, text) for number, text in enumerate(texts)]
        return JSONResponse(_body("chat.completion", engine.bundle, choices, _usage_of(texts)))


def _question(messages: object) -> Question:
    """Return the one question of a conversation. Raises FieldError."""
    if not isinstance(messages, list) or not all(isinstance(one, dict) for one in messages) or not messages:
        raise FieldError("messages", "messages is no list of messages, expected one of the user.")
    if len(messages) != 1 or messages[0].get("role") != "user":
        roles = ", ".join(str(one.get("role")) for one in messages[:8])
        raise FieldError(
            "messages",
            f"messages has the roles {roles}, expected one of the user alone: the model reads one question, in "
            "the prompt that it was trained with. Put instructions into the question.",
        )
    content = messages[0].get("content")
    if isinstance(content, list) and all(isinstance(one, dict) and one.get("type") == "text" for one in content):
        content = "".join(str(one.get("text", "")) for one in content)
    if not isinstance(content, str):
        raise FieldError("messages", "messages[0].content is no text, expected a text.")
    return Question(content)


def _rim(value: object) -> Mapping[str, Any]:
    """Return the fields that only rim-edge has: `as`, `blocks`, `latent_steps`. Raises FieldError."""
    if value is None:
        return {}
    if not isinstance(value, dict) or not set(value) <= {"as", "blocks", "latent_steps"}:
        raise FieldError("rim", 'rim is no object of "as", "blocks" and "latent_steps".')
    if value.get("as") not in (None, "letter", "text"):
        raise FieldError("rim", f'rim.as is {value["as"]!r}, expected "letter" or "text".')
    if value.get("blocks") is not None and type(value["blocks"]) is not int:
        raise FieldError("rim", f"rim.blocks is {value['blocks']!r}, expected a whole number.")
    return value


def _is_letter(wish: Mapping[str, Any], question: Question, writes: bool) -> bool:
    if "as" in wish:
        return bool(wish["as"] == "letter")
    return not writes or bool(question.offered())


def _letter_logprobs(answer: Answer, top: int) -> dict[str, Any]:
    ordered = sorted(answer.probabilities.items(), key=lambda one: -one[1])
    told = [_logprob(letter, share) for letter, share in ordered]
    return {"content": [{**told[0], "top_logprobs": told[:top]}], "refusal": None}


def _logprob(token: str, share: float) -> dict[str, Any]:
    logprob = math.log(share) if share > 0 else -9999.0  # OpenAI's word for what is too improbable
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


def _message(content: str) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "refusal": None}


def _choice(number: int, text: Text) -> dict[str, Any]:
    return {"index": number, "message": _message(text.text), "logprobs": None, "finish_reason": finish_of(text)}


def finish_of(text: Text) -> str:
    """Return OpenAI's word for why a text ended."""
    return "length" if text.ended is Ended.LIMIT else "stop"


def _usage(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _usage_of(texts: list[Text]) -> dict[str, int]:
    return _usage(texts[0].prompt_tokens, sum(len(text.tokens) for text in texts))


def _body(
    kind: str,
    model: str,
    choices: list[dict[str, Any]],
    usage: dict[str, int],
    rim: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    body = {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
        "choices": choices,
        "usage": usage,
    }
    return body if rim is None else {**body, "rim": rim}


async def _chunks(model: str, first: str | AsyncTextStream, pieces: Pieces) -> AsyncIterator[str]:
    """Give the pieces as OpenAI's chunks, then `[DONE]`; an error that comes later is an event of its own."""
    frame = {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": model,
    }

    def chunk(delta: dict[str, Any], finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return event({**frame, "choices": [choice]})

    async with aclosing(pieces):
        try:
            yield chunk({"role": "assistant", "content": ""})
            piece: str | AsyncTextStream = first
            while not isinstance(piece, AsyncTextStream):
                yield chunk({"content": piece})
                piece = await anext(pieces)
            yield chunk({}, finish_of(await piece.result()))
            yield "data: [DONE]\n\n"
        except Exception as error:  # noqa: BLE001 (the status is sent already)
            yield "data: " + bytes(openai_refusal(error).body).decode() + "\n\n"
