"""A transport carries the lines of one client: where they come from, and where the answers go."""

from __future__ import annotations

import select
from typing import Protocol

CHUNK = 65_536
"""Bytes that are read at once."""


class ClientGoneError(Exception):
    """The answers reach nobody."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(str(reason))
        self.reason = reason
        """What the system said."""


class Transport(Protocol):
    """What carries the lines of one client, and their answers."""

    async def read(self) -> bytes:
        """Return some bytes as they come; none at the end, and when the client is gone."""

    async def write(self, line: bytes) -> None:
        """Send a line; wait until the client has read enough. Raises OSError where it is gone or reads nothing."""

    def is_gone(self) -> bool:
        """Whether nobody is left to read, as far as the system says (Linux)."""


def is_hung_up(number: int) -> bool:
    """Whether nobody reads a pipe or a socket any more; one that has only stopped to write still reads.

    False where the system tells it only to those who write: all but Linux.
    """
    if not hasattr(select, "POLLRDHUP"):
        return False
    poll = select.poll()
    poll.register(number, 0)
    return any(event & (select.POLLERR | select.POLLHUP | select.POLLNVAL) for _, event in poll.poll(0))
