"""Listen on this machine until somebody ends it."""

from __future__ import annotations

import asyncio
import signal
import socket as sockets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import uvicorn
from rim_runtime.engine import Engine
from rim_runtime.errors import InputError

from rim_edge.serving.app import make_app
from rim_edge.serving.limits import Limits
from rim_edge.serving.service import Service
from rim_edge.serving.socket_file import BACKLOG, socket_at
from rim_edge.serving.timed_connection import TimedConnection

_ENDING = (signal.SIGINT, signal.SIGTERM)


def listen(
    engine: Engine, limits: Limits, begun: Callable[[str], None], *, port: int, socket: Path | None
) -> None:
    """Serve until SIGINT or SIGTERM; those that are being answered get their answers. `begun` hears the place.

    Raises InputError for a port or a file that is taken, and StorageError for a socket that cannot be made.
    """
    with _bound(port, socket) as (bound, place):
        asyncio.run(_run(engine, limits, bound, lambda: begun(place)))


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


def server_config(service: Service) -> uvicorn.Config:
    """Return how uvicorn serves a service."""
    limits = service.limits
    return uvicorn.Config(
        make_app(service),
        http=cast("Any", partial(TimedConnection, limits)),
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_keep_alive=cast("int", limits.idle_seconds),
        timeout_graceful_shutdown=int(limits.seconds) + 1,
    )


async def _run(engine: Engine, limits: Limits, bound: sockets.socket, begun: Callable[[], None]) -> None:
    server = _Server(server_config(Service(engine, limits)))
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if server.started:
        begun()
    await serving


@contextmanager
def _bound(port: int, file: Path | None) -> Iterator[tuple[sockets.socket, str]]:
    """Give a socket that listens, and its place."""
    if file is not None:
        with socket_at(file) as bound:
            yield bound, str(file)
        return
    with sockets.socket() as bound:
        bound.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
        try:
            bound.bind(("127.0.0.1", port))
        except OSError as error:
            words = f"The port {port} cannot be had ({error.strerror}). Choose another --port."
            raise InputError(words) from None
        bound.listen(BACKLOG)
        yield bound, f"http://127.0.0.1:{bound.getsockname()[1]}"
