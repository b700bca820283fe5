"""The system's own locks on folders and files: they end with the process that holds them, however it ends.

Not on Windows, which locks no folders: there, nothing is held and nothing counts as abandoned.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from rim_runtime.errors import StorageError

if sys.platform != "win32":
    import fcntl


class Lock:
    """A lock that this process holds until it is released."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def release(self) -> None:
        """Let others have it."""
        os.close(self._handle)


def make_and_lock(folder: Path) -> Lock | None:
    """Make a folder that only the user may enter, unless it is there, and lock it; None if another process has it.

    Raises OSError, and StorageError for a folder of another user.
    """
    for _ in range(10):  # it may be removed or renamed while it is locked
        made = False
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            made = True
        try:
            return _locked(folder, made)
        except FileNotFoundError:
            continue
    return None


def lock_abandoned(path: Path) -> Lock | None:
    """Lock a file or folder of the user's whose process is gone; None for any other, and for a link."""
    try:
        return _locked(path, made=False)
    except OSError:
        return None


def _locked(path: Path, made: bool) -> Lock | None:
    if sys.platform == "win32":
        return None
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        status = os.fstat(handle)
        if status.st_uid != os.geteuid():
            raise StorageError(
                f"{path} belongs to user {status.st_uid}, expected a folder of your own. Remove it."
            )
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # held by another process, or a file system without locks
            if not made:
                os.close(handle)
                return None
        if (now := path.lstat()).st_ino != status.st_ino or now.st_dev != status.st_dev:
            raise FileNotFoundError(path)
    except BaseException:
        with suppress(OSError):
            os.close(handle)
        raise
    return Lock(handle)
