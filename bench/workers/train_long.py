"""Worker of long_run.py: trains the demo's stage 1 and tells every 100 steps how that goes. Argument: steps."""

from __future__ import annotations

import ctypes
import dataclasses
import json
import re
import sys
import tempfile
import time
from pathlib import Path

from rim_edge.model.cpu import keep_freed_memory
from rim_edge.recipe.presets import DEMO
from rim_edge.training.callbacks import Listener, Step
from rim_edge.training.job import Job
from rim_edge.training.run import run_job

EVERY = 100


def free_pieces() -> int:
    """Return how many pieces the main heap's free memory is in, by glibc's malloc_info."""
    library = ctypes.CDLL(None)
    library.fopen.restype = ctypes.c_void_p
    library.fclose.argtypes = [ctypes.c_void_p]
    library.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
    with tempfile.NamedTemporaryFile("r") as file:
        stream = library.fopen(file.name.encode(), b"w")
        library.malloc_info(0, stream)
        library.fclose(stream)
        heap = file.read().partition('<heap nr="0">')[2].partition("</heap>")[0]
    return sum(map(int, re.findall(r'<size from="\d+" to="\d+" total="\d+" count="(\d+)"/>', heap)))


def resident_mib() -> int:
    """Return the resident memory of this process in MiB."""
    (kib,) = re.findall(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(kib) // 1024


def main() -> None:
    """Train, and leave after the last step asked for."""
    steps, began = int(sys.argv[1]), time.perf_counter()

    class Teller(Listener):
        def step(self, step: Step) -> None:
            nonlocal began
            if step.done % EVERY == 0:
                seconds = (time.perf_counter() - began) / EVERY
                row = {"step": step.done, "step_ms": round(1000 * seconds), "free_pieces": free_pieces()}
                print(json.dumps(row | {"resident_mib": resident_mib()}), flush=True)
                began = time.perf_counter()
            if step.done == steps:
                sys.exit()

    stage = dataclasses.replace(DEMO.curriculum.stages[1], steps=steps + 1, extension=None)
    recipe = dataclasses.replace(DEMO, curriculum=dataclasses.replace(DEMO.curriculum, stages=(stage,)))
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        run_job(Job(recipe, Path(folder) / "made", seed=0, threads=1), Teller())


if __name__ == "__main__":
    main()
