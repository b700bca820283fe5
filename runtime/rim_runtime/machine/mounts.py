"""Which file systems show each change of a file in its times."""

from __future__ import annotations

import os
import sys
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
_IN_MEMORY = {"tmpfs", "ramfs"}
"""A write through a mapping changes no time on these."""


def keeps_times(device: int) -> bool:
    """Whether files on a device get a new time with each change; assumed where the system does not say."""
    return sys.platform != "linux" or _kind(device) not in _IN_MEMORY


def _kind(device: int) -> str | None:
    """Return the kind of file system that is mounted from a device; None if it is not listed."""
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        facts, _, source = line.partition(" - ")
        if facts.split()[2:3] == [number]:
            return source.split()[0] if source.split() else None
    return None
