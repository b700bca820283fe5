"""From the start of a process to a printed answer: `rim-edge ask -r`, a process an answer."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness.made import CannotMakeError
from harness.place import Place, our_environment
from harness.rounds import summary
from harness.row import Missing, Row
from harness.worker import evict

WARM, COLD = 7, 2


def measure_start(place: Place, row: Row | Missing, question: str) -> dict[str, Any]:
    """Return seconds of `rim-edge ask` on a bundle: warm, and the first time this machine meets it.

    Warm: checked before, files in the page cache. First load: an empty home, files dropped from the page cache; it
    hashes them and puts the golden questions to the engine.
    """
    if isinstance(row, Missing):
        return {"missing": {row.name: row.reason}}
    _answer_seconds(row.model, question, place.home)  # so that it is known here
    warm = [_answer_seconds(row.model, question, place.home) for _ in range(WARM)]
    first = [_first_load(place, row.model, question) for _ in range(COLD)]
    print(f"start: warm {min(warm):.2f} s, first load {min(first):.2f} s", file=sys.stderr)
    return {"warm": summary(warm), "first_load": summary(first)}


def _first_load(place: Place, bundle: Path, question: str) -> float:
    home = Path(tempfile.mkdtemp(dir=place.work))
    try:
        evict(bundle)
        return _answer_seconds(bundle, question, home)
    finally:
        shutil.rmtree(home)


def _answer_seconds(bundle: Path, question: str, home: Path) -> float:
    command = [sys.executable, "-m", "rim_edge", "ask", "-r", "-b", str(bundle), question]
    started = time.perf_counter()
    process = subprocess.run(command, capture_output=True, text=True, env=our_environment(home), check=False)
    seconds = time.perf_counter() - started
    if process.returncode or len(process.stdout.strip()) != 1:
        raise CannotMakeError(f"rim-edge ask: exit {process.returncode}: {process.stderr.strip()[-300:]}")
    return seconds
