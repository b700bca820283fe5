"""Things that take minutes to make: made once, kept with the figures of their making, until the recipe changes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

GIB = 2**30
TAIL = 600
"""Characters of a failed command's output that its reason keeps."""


class CannotMakeError(Exception):
    """A peer, or what it needs, cannot be made here; the text is the reason that its row gives."""


def figures_file(target: Path) -> Path:
    """Return the file beside `target` that says how it was made."""
    return target.with_name(f"{target.name}.json")


def make_once(target: Path, recipe: str, make: Callable[[Path], Mapping[str, Any]]) -> dict[str, Any]:
    """Return the figures of `target`; make it first unless it was made by this very recipe.

    A failure is remembered as the reason, with the recipe, and tried again the next time.
    """
    known = read_figures(target)
    if known.get("recipe") == recipe and "failed" not in known and target.exists():
        return known
    remove(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        figures = {"recipe": recipe, **make(target)}
        figures["bytes"] = bytes_of(target)
    except CannotMakeError as error:
        remove(target)
        figures = {"recipe": recipe, "failed": str(error)}
    figures_file(target).write_text(json.dumps(figures, indent=1) + "\n")
    return figures


def read_figures(target: Path) -> dict[str, Any]:
    """Return how `target` was made; says `failed` where nobody made it."""
    file = figures_file(target)
    return dict(json.loads(file.read_text())) if file.is_file() else {"failed": "not made: run `prepare`"}


def remove(target: Path) -> None:
    """Delete a file or folder, if it is there, and its figures."""
    figures_file(target).unlink(missing_ok=True)
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)


def bytes_of(target: Path) -> int:
    """Return the bytes of a file, or of all files of a folder."""
    files = target.rglob("*") if target.is_dir() else (target,)
    return sum(file.stat().st_size for file in files if file.is_file())


def run_measured(command: Sequence[str], environment: Mapping[str, str], log: Path) -> dict[str, Any]:
    """Run a command and return its standard output, seconds and peak resident memory in GiB.

    Raises CannotMakeError with the end of its standard error, which `log` keeps whole.
    """
    started = time.perf_counter()
    with log.open("w") as errors:
        process = subprocess.Popen(
            command, env=dict(environment), stdout=subprocess.PIPE, stderr=errors, text=True
        )
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        said = log.read_text(errors="replace").strip() or output
        raise CannotMakeError(f"exit {process.returncode}: {' '.join(said[-TAIL:].split())}")
    return {
        "output": output,
        "seconds": round(time.perf_counter() - started, 1),
        "peak_gib": round(usage.ru_maxrss * 1024 / GIB, 2),
    }


def hash_files(*files: Path) -> str:
    """Return a short hash over the files' contents: a recipe that changes when one of them does."""
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
