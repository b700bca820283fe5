"""A service at a Unix socket in a thread of this process, and clients that write and read lines."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rim_runtime import Engine

from rim_edge.serving.ending import Ending
from rim_edge.serving.jsonl.run import serve_socket
from rim_edge.serving.limits import Limits
from rim_edge.serving.service import Service
from rim_edge.serving.socket_file import socket_at
from tests.cli.schemas import assert_valid


class Client:
    """One connection."""

    def __init__(self, file: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(file))
        self._lines = self.socket.makefile("rb")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self.socket.close()

    def send(self, *rows: object) -> None:
        """Write rows, a line each; bytes as they are."""
        lines = (row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows)
        self.socket.sendall(b"".join(lines))

    def read(self) -> Any:
        """Return the next line, which is as its schema says."""
        line = self._lines.readline().decode()
        assert line.endswith("\n"), f"the server ended the connection: {line!r}"
        assert_valid("serve-jsonl", line)
        return json.loads(line)

    def ask(self, row: object) -> Any:
        """Write a row and return the next line."""
        self.send(row)
        return self.read()

    def rest(self) -> bytes:
        """Return what comes until the server ends the connection."""
        return self._lines.read()


@dataclass(frozen=True)
class LineServer:
    """A server that runs."""

    file: Path
    service: Service

    def client(self) -> Client:
        """Connect."""
        return Client(self.file)


@contextmanager
def answering(engine: Engine, file: Path, limits: Limits | None = None) -> Iterator[LineServer]:
    """Serve an engine at a socket while the block lasts; it is closed afterwards."""
    begun, made = threading.Event(), list[Any]()

    async def serve(bound: socket.socket) -> None:
        service, ending = Service(engine, limits or Limits()), Ending()
        loop = asyncio.get_running_loop()
        made.extend((service, lambda: loop.call_soon_threadsafe(ending.tell)))
        await serve_socket(service, bound, begun.set, ending)

    with socket_at(file) as bound:
        thread = threading.Thread(target=lambda: asyncio.run(serve(bound)))
        thread.start()
        assert begun.wait(30)
        service, tell = made
        try:
            yield LineServer(file, service)
        finally:
            tell()
            thread.join(30)
            assert not thread.is_alive()
            engine.close()
