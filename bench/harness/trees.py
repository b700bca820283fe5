"""Source trees of other commits, to measure this one against."""

from __future__ import annotations

import subprocess
from pathlib import Path

from harness.place import BENCH

TREE = BENCH.parent
"""The tree this benchmark lies in."""


def checked_out(commit: str, folder: Path) -> Path:
    """Write a commit's files into a folder and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = subprocess.run(["git", "-C", str(TREE), "archive", commit], check=True, capture_output=True)
    subprocess.run(["tar", "-x", "-C", str(folder)], check=True, input=archive.stdout)
    return folder
