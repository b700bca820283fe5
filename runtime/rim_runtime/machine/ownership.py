"""Whose a folder of ours is: what is kept there counts only if nobody else could have written it.

What is kept decides what is checked again (hashes, self-tests, chosen engines), or is code (plans, kernels, the
list of trusted bundles). On Windows the system's access lists are trusted instead.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from rim_runtime.errors import StorageError
from rim_runtime.machine.folders import HOME_VARIABLE, cache_folder, home_folder

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def written_by_others(path: Path) -> str | None:
    """Return why others could have written a path in the home or cache folder, and what to do; None if not.

    Looked at are the path, if it exists, and the folders above it up to the home or cache folder.
    """
    if sys.platform == "win32":
        return None
    return next((why for place in _up_to_ours(path) if (why := _why(place))), None)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; only the user may write to those in the home and cache folders.

    Raises OSError.
    """
    for place in reversed((folder, *folder.parents)):
        if not place.is_dir():
            place.mkdir(mode=_mode(place), exist_ok=True)


def file_mode(file: Path) -> int:
    """Return the mode of a new file, before the umask: in the home and cache folders it is the user's alone."""
    return 0o600 if any(file.absolute().is_relative_to(ours) for ours in _ours()) else 0o666


def _mode(place: Path) -> int:
    if place in _ours():
        return 0o700
    if any(place.is_relative_to(ours) for ours in _ours()):
        return place.parent.stat().st_mode & 0o755  # an administrator may have opened the home for reading
    return 0o777


def _up_to_ours(path: Path) -> tuple[Path, ...]:
    above = (path, *path.parents)
    last = max((above.index(ours) for ours in _ours() if ours in above), default=0)
    return above[: last + 1]


def _ours() -> tuple[Path, ...]:
    found = []
    for find in (home_folder, cache_folder):
        try:
            found.append(find())
        except StorageError:  # there is no such place
            continue
    return tuple(found)


def _why(place: Path) -> str | None:
    try:
        status = place.stat()
    except OSError:  # not there, or not to be read, and then nothing is read from it
        return None
    user, mode = os.geteuid(), stat.S_IMODE(status.st_mode)
    if status.st_uid not in (user, 0):
        do = f"chown {user} {place}"
    elif mode & _OTHERS_WRITE:
        do = f"chmod go-w {place}"
    else:
        return None
    return (
        f"{place} belongs to user {status.st_uid} with mode {mode:04o}, so others could have written what is kept "
        f"there, and it is not used. If you know that nobody did: {do}. Or set {HOME_VARIABLE} to your own folder."
    )
