"""Answer lines of JSON until they end, or until somebody ends the server."""

from __future__ import annotations

import asyncio
import socket as sockets
from collections.abc import Callable
from pathlib import Path

from rim_runtime.engine import Engine
from rim_runtime.errors import InputError

from rim_edge.serving.ending import Ending
from rim_edge.serving.jsonl.session import Session
from rim_edge.serving.jsonl.stdio import StdioTransport
from rim_edge.serving.jsonl.transport import ClientGoneError
from rim_edge.serving.jsonl.unix_socket import SocketTransport
from rim_edge.serving.limits import Limits
from rim_edge.serving.service import Service
from rim_edge.serving.socket_file import BACKLOG, socket_at


def answer_stdio(engine: Engine, limits: Limits, source: int, target: int) -> None:
    """Answer the lines of a file's number on another one until they end, or until SIGINT or SIGTERM.

    Raises OSError where answers cannot be written, and KeyboardInterrupt for a second signal.
    """

    async def run(ending: Ending) -> None:
        session = Session(Service(engine, limits), StdioTransport(source, target), line_seconds=None)
        ending.call(session.stop)
        try:
            await session.run()
        except ClientGoneError as gone:
            raise gone.reason from None

    Ending.run(run)


def answer_socket(engine: Engine, limits: Limits, begun: Callable[[str], None], file: Path) -> None:
    """Answer those who connect to a Unix socket until SIGINT or SIGTERM. `begun` hears the place.

    Raises InputError where the file is taken or the system has no such sockets, StorageError where it cannot be
    made, and KeyboardInterrupt for a second signal.
    """
    if not hasattr(asyncio, "start_unix_server"):  # Windows
        raise InputError("Python has no Unix sockets on this system. Leave --socket out: stdin and stdout remain.")
    with socket_at(file) as bound:
        Ending.run(lambda ending: serve_socket(Service(engine, limits), bound, lambda: begun(str(file)), ending))


async def serve_socket(service: Service, bound: sockets.socket, begun: Callable[[], None], ending: Ending) -> None:
    """Answer those who connect to a socket that listens, until `ending` is told, and what they asked till then."""
    sessions: dict[asyncio.Task[None], Session] = {}

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        transport = SocketTransport(reader, writer, service.limits.send_seconds)
        session = Session(service, transport, line_seconds=service.limits.receive_seconds)
        task = asyncio.current_task()
        assert task is not None
        sessions[task] = session
        try:
            await session.run()
            await transport.close()
        except ClientGoneError:
            transport.abort()
        except BaseException:  # such as a second signal, which waits for nobody
            transport.abort()
            raise
        finally:
            del sessions[task]

    server = await asyncio.start_unix_server(client, sock=bound, backlog=BACKLOG)
    ended = asyncio.Event()
    ending.call(ended.set)
    begun()
    await ended.wait()
    server.close()
    for session in sessions.values():
        session.stop()
    if sessions:
        await asyncio.wait(sessions)
