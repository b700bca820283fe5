"""Atomic writing: a folder or a file appears whole, or not at all.

Folders are written as a hidden sibling, synced to the disk, then renamed. If the disk refuses, a StorageError
names the path, and the sibling is deleted. While one is written it is locked, so a second process is refused at
once, and what a killed process left behind is known by its lock that nobody holds (not on Windows, where folders
cannot be locked).
"""

from __future__ import annotations

import errno
import glob
import os
import re
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rim_runtime.errors import InputError, RimError, StorageError, TargetExistsError
from rim_runtime.machine.locks import Lock, lock_abandoned, make_and_lock
from rim_runtime.machine.ownership import file_mode, make_folder

_UNFINISHED = "rim-edge-unfinished"
_ABANDONED_S = 60.0
"""Age in seconds from which a half-written file counts as left by a process that was killed."""


def refuse_existing(target: Path) -> None:
    """Raise TargetExistsError if `target` already exists, and StorageError if its place cannot be looked at."""
    with storage_errors(target):
        exists = target.exists() or target.is_symlink()
    if exists:
        raise TargetExistsError(
            f"{target} already exists, expected a new path. Choose another one, or delete it first."
        )


def refuse_file(folder: Path, what: str) -> None:
    """Raise InputError if there is something else than a folder at `folder`, or above it; `what` it is to be."""
    for place in (folder, *folder.parents):
        if not (place.is_dir() or not os.path.lexists(place)):
            raise InputError(f"{place} is a file, expected a folder for {what}. Choose another path.")


def require_writable(target: Path) -> None:
    """Raise StorageError if nothing can be made at `target`, or in it if it is a folder; nothing is left behind.

    A folder is made in the nearest one that exists, and removed: permissions alone tell little.
    """
    with storage_errors(target):
        Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=nearest_existing(target))).rmdir()


def nearest_existing(path: Path) -> Path:
    """Return the path if it exists, else the nearest one above it that does. Raises OSError."""
    return next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary sibling folder to fill; it becomes `target` when the block ends without an error.

    Raises TargetExistsError before anything is written, where the target exists or another process is writing it,
    and StorageError if the disk refuses.
    """
    refuse_existing(target)
    with storage_errors(target):
        make_folder(target.parent)
        work, lock = _begin(target)
    try:
        with storage_errors(target):
            yield work
            _sync_tree(work)
            work.chmod(0o755)  # it was private
            refuse_existing(target)
            work.rename(target)
            _sync_folder(target.parent)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    finally:
        if lock:
            lock.release()


def clear_unfinished(folder: Path) -> tuple[Path, ...]:
    """Remove the unfinished folders in a folder whose processes are gone, and return their paths."""
    removed = []
    for path in sorted(folder.glob(f".*.{_UNFINISHED}")) if folder.is_dir() else ():
        if lock := lock_abandoned(path):
            _remove(path)
            removed.append(path)
            lock.release()
    return tuple(removed)


def write_file(path: Path, text: str) -> None:
    """Write or replace one small file atomically. Raises StorageError."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write or replace one file atomically. Raises StorageError."""
    with storage_errors(path):
        make_folder(path.parent)
        _clear_halves(path)
        half, handle = _begin_file(path)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            half.replace(path)
        except BaseException:
            half.unlink(missing_ok=True)
            raise


def _begin_file(path: Path) -> tuple[Path, int]:
    """Make the file that becomes `path`, and return it and its descriptor; the process's umask applies to it."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    while True:
        half = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            return half, os.open(half, flags, file_mode(path))
        except FileExistsError:
            continue


@contextmanager
def storage_errors(target: Path) -> Iterator[None]:
    """Turn the disk's errors while `target` is written into a StorageError that names it."""
    try:
        yield
    except OSError as error:
        if isinstance(error, RimError) or (error.errno is None and not _is_full(error)):
            raise
        raise StorageError(_message(target, error)) from error


def _message(target: Path, error: OSError) -> str:
    if _is_full(error):
        free = shutil.disk_usage(nearest_existing(target.resolve().parent)).free / 1e6
        return f"The disk is full: {free:,.0f} MB are free for {target}, nothing was written. Free some space."
    if elsewhere := _elsewhere(error, target):
        return (
            f"{elsewhere} cannot be used ({error.strerror}), so {target} was not written. Check that file and its "
            "permissions."
        )
    return f"Cannot write {target} ({error.strerror}), nothing was written. Check the path and its permissions."


def _elsewhere(error: OSError, target: Path) -> str | None:
    """Return the file that an error is about if it is neither beside the target nor a folder above it."""
    if not isinstance(error.filename, str):
        return None
    about, place = Path(error.filename).absolute(), target.absolute().parent
    ours = about.name.startswith(f".{target.name}.")  # of require_writable, in a folder above
    return None if ours or about.is_relative_to(place) or place.is_relative_to(about) else error.filename


def _is_full(error: OSError) -> bool:
    """Whether the disk is full; numpy reports a short write only in words, without an errno."""
    short = error.errno is None and re.fullmatch(r"\d+ requested and \d+ written", str(error))
    return bool(short) or error.errno in (errno.ENOSPC, errno.EDQUOT)


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(0o644)  # safetensors writes files that only the owner can read
            with path.open("rb") as file:
                os.fsync(file.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open folders
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _begin(target: Path) -> tuple[Path, Lock | None]:
    """Make and lock the folder that becomes the target; one that a killed process left is emptied first."""
    if sys.platform == "win32":
        return Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent)), None
    work = target.with_name(f".{target.name}.{_UNFINISHED}")
    lock = make_and_lock(work)
    if lock is None:
        raise TargetExistsError(
            f"{target} is being written by another process, expected one at a time. "
            "Wait until it has ended, or choose another path."
        )
    for left in work.iterdir():
        _remove(left)
    return work, lock


def _clear_halves(path: Path) -> None:
    """Remove what processes left that were killed while they wrote this file; writing it takes a moment."""
    for half in path.parent.glob(f".{glob.escape(path.name)}.????????"):
        with suppress(OSError):
            if time.time() - half.lstat().st_mtime > _ABANDONED_S:
                half.unlink()


def _remove(path: Path) -> None:
    """Delete a folder with what it holds, or a file; no link is followed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
