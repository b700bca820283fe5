"""Throw-away Python environments, one a peer, made by pip from a pinned list."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.made import CannotMakeError, hash_files, make_once, run_measured
from harness.place import BENCH, Place, peer_environment


def environment_python(place: Place, name: str) -> Path:
    """Return the interpreter of the environment called `name`, made or not."""
    return place.work / "envs" / name / "bin" / "python"


def make_environment(place: Place, name: str, variables: Mapping[str, str] | None = None) -> Path:
    """Make the environment of `peers/NAME.txt` unless it is there; `variables` are for the build of what it holds.

    Raises CannotMakeError with pip's reason.
    """
    pins = BENCH / "cpu_parts" / "peers" / f"{name}.txt"
    recipe = f"{hash_files(pins)} {dict(variables or {})} Python {sys.version_info[0]}.{sys.version_info[1]}"
    log = place.log(f"pip {name}")

    def make(folder: Path) -> dict[str, Any]:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, env=peer_environment())
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "-r", str(pins)]
        measured = run_measured(pip, {**peer_environment(), **_pip_settings(), **(variables or {})}, log)
        return {"seconds": measured["seconds"]}

    figures = make_once(place.work / "envs" / name, recipe, make)
    if "failed" in figures:
        raise CannotMakeError(f"pip install -r {pins.name}: {figures['failed']}")
    return environment_python(place, name)


def _pip_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
