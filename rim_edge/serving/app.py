"""The server's routes, and what stands before all of them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from rim_edge.serving.exchange import refusal
from rim_edge.serving.native import NativeRoutes
from rim_edge.serving.openai.chat import ChatRoute
from rim_edge.serving.openai.completions import CompletionsRoute
from rim_edge.serving.openai.fields import openai_refusal
from rim_edge.serving.refusals import RequestError
from rim_edge.serving.service import Service

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LOOPBACK = frozenset(("127.0.0.1", "localhost", "[::1]", "::1"))
"""Names of this machine that a request may be for: another one is a web page's, whose name leads here."""
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:"
_PAGE = {"/": ("page.html", "text/html"), "/page.css": ("page.css", "text/css")}
_PAGE |= {"/page.js": ("page.js", "text/javascript")}


def make_app(service: Service) -> Front:
    """Return the ASGI application of a service."""
    native = NativeRoutes(service)
    routes = [
        Route("/ask", native.ask, methods=["POST"]),
        Route("/generate", native.generate, methods=["POST"]),
        Route("/trace", native.trace, methods=["POST"]),
        Route("/health", native.health),
        Route("/metrics", native.metrics),
        Route("/v1/models", _models(service)),
        Route("/v1/chat/completions", ChatRoute(service).__call__, methods=["POST"]),
        Route("/v1/completions", CompletionsRoute(service).__call__, methods=["POST"]),
        *(Route(path, _file(name, kind)) for path, (name, kind) in _PAGE.items()),
    ]
    handlers: Any = {404: _unknown, 405: _unknown}
    return Front(Starlette(routes=routes, exception_handlers=handlers), service)


class Front:
    """What every request passes: its host is looked at, and it is counted."""

    def __init__(self, app: Starlette, service: Service) -> None:
        self._app, self._service = app, service
        self._paths = {route.path for route in app.routes if isinstance(route, Route)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if (host := _host(scope)) in LOOPBACK or scope.get("server", ("", 0))[1] is None:
                await self._app(scope, receive, sending)
            else:
                words = f"The request is for {host or 'no host'}, expected 127.0.0.1 or localhost."
                await refusal(RequestError(421, words))(scope, receive, sending)
        finally:
            path = scope["path"] if scope["path"] in self._paths else "other"
            self._service.metrics.request(path, status, time.monotonic() - began)


def _host(scope: Scope) -> str:
    """Return the host that a request names, without its port."""
    given = next((value.decode("latin-1") for key, value in scope["headers"] if key == b"host"), "")
    return given if given.endswith("]") else given.rpartition(":")[0] or given


def _models(service: Service) -> Callable[[Request], Awaitable[Response]]:
    async def models(request: Request) -> Response:
        del request
        model = {"id": service.engine.bundle, "object": "model", "created": 0, "owned_by": "rim-edge"}
        return JSONResponse({"object": "list", "data": [model]})

    return models


def _file(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    content = files("rim_edge.serving.page").joinpath(name).read_text(encoding="utf-8")
    headers = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}

    async def file(request: Request) -> Response:
        del request
        return HTMLResponse(content, media_type=kind, headers=headers)

    return file


async def _unknown(request: Request, error: Exception) -> Response:
    """Say which routes there are."""
    status = getattr(error, "status_code", 404)
    words = f"There is no {request.method} {request.url.path}. Routes: POST /ask, /generate, /trace, "
    words += "/v1/chat/completions, /v1/completions; GET /health, /metrics, /v1/models."
    tell = openai_refusal if request.url.path.startswith("/v1/") else refusal
    return tell(RequestError(status, words))
