"""Listen on this machine until somebody ends it."""

from __future__ import annotations

import asyncio
import signal
import socket as sockets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from rim_runtime.engine import Engine
from rim_runtime.errors import InputError, StorageError

from rim_edge.serving.app import make_app
from rim_edge.serving.limits import Limits
from rim_edge.serving.service import Service

_KEEP_ALIVE = 75
"""Seconds that a connection may be idle."""
_BACKLOG = 2_048
_ENDING = (signal.SIGINT, signal.SIGTERM)


def listen(
    engine: Engine, limits: Limits, begun: Callable[[str], None], *, port: int, socket: Path | None
) -> None:
    """Serve until SIGINT or SIGTERM; those that are being answered get their answers. `begun` hears the place.

    Raises InputError for a port that is taken, and StorageError for a socket that cannot be made.
    """
    bound, place = _bind(port, socket)
    try:
        asyncio.run(_run(engine, limits, bound, lambda: begun(place)))
    finally:
        bound.close()
        if socket is not None:
            socket.unlink(missing_ok=True)


class _Server(uvicorn.Server):
    """Ends well when it is told to end: that is how a server's work is done."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Hear SIGINT and SIGTERM, and do not raise them again afterwards, as uvicorn would."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in _ENDING}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


async def _run(engine: Engine, limits: Limits, bound: sockets.socket, begun: Callable[[], None]) -> None:
    app = make_app(Service(engine, limits))
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=int(limits.seconds) + 1,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if server.started:
        begun()
    await serving


def _bind(port: int, socket: Path | None) -> tuple[sockets.socket, str]:
    if socket is not None:
        return _at_file(socket), str(socket)
    bound = sockets.socket()
    bound.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
    try:
        bound.bind(("127.0.0.1", port))
    except OSError as error:
        bound.close()
        raise InputError(f"The port {port} cannot be had ({error.strerror}). Choose another --port.") from None
    bound.listen(_BACKLOG)
    return bound, f"http://127.0.0.1:{bound.getsockname()[1]}"


def _at_file(file: Path) -> sockets.socket:
    """Return a socket at a file that the user's own programs alone may open."""
    if not hasattr(sockets, "AF_UNIX"):
        raise InputError("This system has no Unix sockets. Leave --socket out, and take a --port.")
    bound = sockets.socket(sockets.AF_UNIX)
    try:
        bound.bind(str(file))
        file.chmod(0o600)
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        raise StorageError(f"The socket {file} cannot be made ({error}). Choose another file.") from None
    return bound
