"""How much a server takes on, and how long it waits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of one server."""

    waiting: int = 256
    """Questions that may wait for their letters, and texts that may wait to be written; more are turned away."""
    batch: int = 32
    """Questions that are asked in one batch."""
    texts: int = 2
    """Texts that are written at the same time."""
    seconds: float = 120.0
    """How long one answer may take, its waiting included."""
    body_bytes: int = 1_000_000
    """The longest request."""
    send_seconds: float = 30.0
    """How long a client may not read."""
    receive_seconds: float = 30.0
    """How long a client may take to send a request that it has begun."""
    idle_seconds: float = 75.0
    """How long a connection may be idle over HTTP."""
    lines: int = 64
    """Requests of one client that are answered at the same time over JSON lines; it reads no further ones."""
