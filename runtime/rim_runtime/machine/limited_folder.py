"""A folder of what can be made again, within a limit of bytes: what was not used for longest goes first."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from rim_runtime.machine.log import tell
from rim_runtime.machine.storage import clear_unfinished


def make_room(newest: Path, most_bytes: int) -> None:
    """Remove what was not used for longest until the folder is within its limit; `newest` always stays."""
    clear_unfinished(newest.parent)
    others = [path for path in newest.parent.iterdir() if path != newest and not path.name.startswith(".")]
    left = most_bytes - _size(newest)
    for path in sorted(others, key=_used, reverse=True):
        size = _size(path)
        left -= size
        if left < 0 and remove(path):
            tell("removed %s (%d bytes): its folder may hold %d bytes", path, size, most_bytes)


def remove(path: Path) -> bool:
    """Delete a folder or a file and return whether it is gone; what is in use on Windows stays, whole.

    No link is followed.
    """
    with suppress(OSError):
        if not path.is_dir() or path.is_symlink():
            path.unlink()
            return True
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            path.rename(aside / path.name)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        return True
    return False


def _used(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:  # another process removed it
        return 0.0


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() and not path.is_symlink() else (path,)
    total = 0
    for file in files:
        with suppress(OSError):
            total += file.lstat().st_size
    return total
