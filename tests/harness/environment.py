"""An environment with lm-evaluation-harness beside all that the tests have; nothing else sees it."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path

import pytest

REQUIREMENTS = Path(__file__).parent / "requirements.txt"
"""What lm-eval 0.4.13 needs beside the tests' own packages; the harness itself needs no torch."""


@cache
def harness_python(folder: Path) -> Path:
    """Return the Python of a new environment. Skips the test where the packages cannot be fetched."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=60)
    there = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    (there / "tests.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-compile", "--target", str(there), "--requirement", str(REQUIREMENTS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        pytest.skip(f"needs the packages of {REQUIREMENTS.name} from a package index: {last}")
    return Path(sysconfig.get_path("scripts", vars={"base": str(folder)})) / "python"
