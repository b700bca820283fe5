"""A lock on a folder: of two runs with one output the second is refused.

The system's own file locks, through filelock: they end with the process that holds them, however it ends, so none
is ever stale.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from rim_runtime.errors import TargetExistsError

_LOCK = "lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of an existing folder; the folder is removed afterwards if it is empty.

    Raises TargetExistsError where another run holds it.
    """
    path = folder / _LOCK
    lock = FileLock(path, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise TargetExistsError(
            f"{folder} is in use by another run, expected one run for each output. "
            "Wait until that run has ended, or choose another --output."
        ) from None
    try:
        yield
    finally:
        if sys.platform == "win32":  # an open file cannot be removed there
            lock.release()
            path.unlink(missing_ok=True)
        else:  # removed while it is held: afterwards it could be another run's
            path.unlink(missing_ok=True)
            lock.release()
        with suppress(OSError):
            folder.rmdir()


def refuse_locked(folder: Path) -> None:
    """Raise TargetExistsError if another run holds the lock of an existing folder."""
    if (folder / _LOCK).is_file():
        with locked(folder):
            pass
