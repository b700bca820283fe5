"""A lock on a folder: of two runs with one output the second is refused.

The system's own file locks: they end with the process that holds them, however it ends, so none is ever stale.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rim_runtime.errors import TargetExistsError

_LOCK = "lock"
_MOST = 200
"""Bytes of a lock file that are read: a process and a host."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of an existing folder; the folder is removed afterwards if it is empty.

    Raises TargetExistsError, which names the process that holds it.
    """
    path = folder / _LOCK
    handle = _open(path)
    try:
        os.ftruncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode()[:_MOST])
        yield
    finally:
        if sys.platform == "win32":  # an open file cannot be removed there
            os.close(handle)
            path.unlink(missing_ok=True)
        else:
            path.unlink(missing_ok=True)
            os.close(handle)
        with suppress(OSError):
            folder.rmdir()


def refuse_locked(folder: Path) -> None:
    """Raise TargetExistsError if another process holds the lock of an existing folder."""
    if (folder / _LOCK).is_file():
        with locked(folder):
            pass


def _open(path: Path) -> int:
    """Return the handle of the locked file; one that its last holder has just removed is made anew."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if not _take(handle):
            holder = os.read(handle, _MOST).decode(errors="replace") or "another process"
            os.close(handle)
            raise TargetExistsError(
                f"{path.parent} is in use by {holder}, expected one run for each output. "
                "Wait until that run has ended, or choose another --out."
            )
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        os.close(handle)


def _take(handle: int) -> bool:
    """Lock an open file, and return whether nobody else holds it; where there are no locks, nobody does."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(handle, _MOST, os.SEEK_SET)  # a byte behind the text, which stays readable
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            os.lseek(handle, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        os.lseek(handle, 0, os.SEEK_SET)
        return False
    except OSError:  # some network drives have no locks
        return True
    return True
