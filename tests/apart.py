"""Programs in a process of their own: what forks, or signals itself, must not take the test's process with it."""

from __future__ import annotations

import subprocess
import sys

from tests.places import REPOSITORY


def run_apart(code: str, *arguments: object, timeout: float = 120) -> str:
    """Run a program and return its stdout; it sees this checkout's tests. It must end well, and in time."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, cwd=REPOSITORY)
    assert done.returncode == 0, f"it ended with {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout
