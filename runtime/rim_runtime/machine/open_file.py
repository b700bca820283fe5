"""A file that is opened once, so that what is hashed, read and mapped is one and the same file."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import weakref
from collections.abc import Callable
from pathlib import Path

_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)  # never wait for a pipe's writer
_AT_ONCE = 1 << 22
"""Bytes that are hashed between two reports."""


class OpenFile:
    """A regular file, held open as long as this object lives. Its name may stand for another file later."""

    def __init__(self, path: Path) -> None:
        """Open a file; links are followed. Raises OSError."""
        self._handle = os.open(path, _FLAGS)
        weakref.finalize(self, os.close, self._handle)
        status = os.fstat(self._handle)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        self.size, self.identity = status.st_size, _identity(status)
        self.path = path.resolve()
        """Its path without links."""

    @property
    def changed_ns(self) -> int:
        """When it last changed, content or name, in nanoseconds since 1970; on Windows when it was made."""
        return self.identity[-1]

    @property
    def device(self) -> int:
        """The device it is on."""
        return self.identity[0]

    def fileno(self) -> int:
        """Return its file descriptor."""
        return self._handle

    def read(self) -> bytes:
        """Return its content. Raises OSError."""
        with os.fdopen(os.dup(self._handle), "rb") as file:
            file.seek(0)
            return file.read()

    def sha256(self, report: Callable[[int], None] | None = None) -> str:
        """Return the SHA-256 of its content, hexadecimal; `report` is called with the bytes hashed so far, from 0.

        Raises OSError.
        """
        digest, done = hashlib.sha256(), 0
        part = memoryview(bytearray(min(_AT_ONCE, max(1, self.size))))
        with os.fdopen(os.dup(self._handle), "rb", buffering=0) as file:
            file.seek(0)
            if report:
                report(done)
            while size := file.readinto(part):
                digest.update(part[:size])
                done += size
                if report:
                    report(done)
        return digest.hexdigest()

    def is_unchanged(self) -> bool:
        """Whether it was not written since it was opened, and its path still stands for it."""
        try:
            return _identity(os.fstat(self._handle)) == _identity(self.path.lstat()) == self.identity
        except OSError:
            return False

    def times(self) -> tuple[int, ...]:
        """Return its size, and when its content and its name last changed. Raises OSError."""
        return _identity(os.fstat(self._handle))[2:]

    def has_same_content(self) -> bool:
        """Whether its size and the time of its content are still the same, whatever became of its name."""
        try:
            return self.times()[:2] == self.identity[2:4]
        except OSError:
            return False


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
