"""A Unix socket at a file: for its user alone, never in another server's place, and gone afterwards."""

from __future__ import annotations

import os
import socket as sockets
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rim_runtime.errors import InputError, StorageError

if sys.platform != "win32":
    import fcntl

BACKLOG = 2_048
_PATIENCE = 5.0
"""Seconds that another server may take to make its own socket in the same folder."""


@contextmanager
def socket_at(file: Path) -> Iterator[sockets.socket]:
    """Give a socket that listens at a file; both are gone afterwards. What a killed server left there is replaced.

    Raises InputError where a server listens there or something else lies there, and where the system has no such
    sockets; StorageError where the socket cannot be made.
    """
    if not hasattr(sockets, "AF_UNIX"):
        raise InputError("This system has no Unix sockets. Leave --socket out.")
    try:
        with _alone(file.parent):
            bound = _bound(file)
        mine = file.lstat().st_ino
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"The socket {file} cannot be made ({error}). Choose another file.") from None
    try:
        yield bound
    finally:
        bound.close()
        with suppress(OSError):
            if file.lstat().st_ino == mine:  # somebody may have removed it, and another server be there
                file.unlink()


def _bound(file: Path) -> sockets.socket:
    _remove_abandoned(file)
    bound = sockets.socket(sockets.AF_UNIX)
    try:
        bound.bind(str(file))
        file.chmod(0o600)
        bound.listen(BACKLOG)
    except BaseException:
        bound.close()
        raise
    return bound


def _remove_abandoned(file: Path) -> None:
    """Remove a socket at which nobody listens. Raises InputError for anything else that lies there."""
    try:
        mode = file.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise InputError(f"{file} is there and no socket, expected a name that is free. Choose another --socket.")
    with sockets.socket(sockets.AF_UNIX) as client:
        client.settimeout(_PATIENCE)
        try:
            client.connect(str(file))
        except ConnectionRefusedError:
            file.unlink()
            return
        except TimeoutError:  # it listens, and is busy
            pass
    raise InputError(f"A server listens at {file} already. Connect to it, or choose another --socket.")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other servers from looking at the sockets of a folder meanwhile: two may start at once."""
    if sys.platform == "win32":
        yield
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)
            except OSError:  # a file system without locks
                break
        yield
    finally:
        os.close(handle)
