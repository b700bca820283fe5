"""A server in a thread of this process, and clients of it: plain sockets, no other library."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from rim_runtime import Engine

from rim_edge.serving.limits import Limits
from rim_edge.serving.listening import server_config
from rim_edge.serving.service import Service


@dataclass(frozen=True)
class Reply:
    """What a server said."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Its body."""
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """Its server-sent events; the last may be `[DONE]`."""
        lines = self.body.decode().split("\n\n")
        assert lines.pop() == ""
        told = [line.removeprefix("data: ") for line in lines]
        return [one if one == "[DONE]" else json.loads(one) for one in told]


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    port: int
    service: Service
    uvicorn: uvicorn.Server

    def get(self, path: str, **headers: str) -> Reply:
        """GET."""
        return self._exchange("GET", path, None, headers)

    def post(self, path: str, body: Any, **headers: str) -> Reply:
        """POST an object as JSON, or bytes as they are."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._exchange("POST", path, content, {"Content-Type": "application/json", **headers})

    def _exchange(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(
                method, path, body, {key.replace("_", "-"): value for key, value in headers.items()}
            )
            reply = connection.getresponse()
            told = {key.lower(): value for key, value in reply.getheaders()}
            return Reply(reply.status, told, reply.read())
        finally:
            connection.close()


@contextmanager
def running(engine: Engine, limits: Limits | None = None, *, buffer: int | None = None) -> Iterator[Server]:
    """Serve an engine while the block lasts; it is closed afterwards. `buffer`: what the system holds unread."""
    bound = socket.socket()
    if buffer is not None:  # connections have their listener's
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
    bound.bind(("127.0.0.1", 0))
    bound.listen(2_048)
    begun = threading.Event()
    made: list[Any] = []

    async def serve() -> None:
        service = Service(engine, limits or Limits())
        server = uvicorn.Server(server_config(service))
        made.extend((service, server))
        serving = asyncio.create_task(server.serve(sockets=[bound]))
        while not server.started:
            await asyncio.sleep(0.005)
        begun.set()
        await serving

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert begun.wait(30)
    service, server = made
    try:
        yield Server(bound.getsockname()[1], service, server)
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
        engine.close()
