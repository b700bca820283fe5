"""Environments of their own, for packages that cannot live beside ours: made once, below build/."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from filelock import FileLock

from tests.places import REPOSITORY


def environment() -> dict[str, str]:
    """Of a process with packages of its own: nothing of ours, no network."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, "HF_HUB_OFFLINE": "1"}


def own_python(name: str, pins: Sequence[str]) -> Path:
    """Return the interpreter of an environment with these packages; skip the test where they cannot be had."""
    folder = REPOSITORY / "build" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{name}.lock")):
        made, wanted = folder / "made.txt", "\n".join(pins)
        found = folder / "bin" / "python"
        if not made.is_file() or made.read_text(encoding="utf-8") != wanted:
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True, env=environment())
            pip = [str(found), "-m", "pip", "install", "--quiet", *pins]
            done = subprocess.run(pip, capture_output=True, text=True, check=False, env=environment())
            if done.returncode:
                pytest.skip(f"{pins[0]} cannot be had from the package index: {done.stderr.strip()[-300:]}")
            made.write_text(wanted, encoding="utf-8")
        return found
