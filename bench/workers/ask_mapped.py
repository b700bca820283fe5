"""One question to a bundle whose weights are mapped: `ask_mapped.py WAY BUNDLE ENGINE ANSWERS QUESTION`, JSON out.

WAY is how the weights' file is kept from changing (mapped.py names them).
"""

from __future__ import annotations

import errno
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rim_runtime import Engine
from rim_runtime.engines.backend import Backend
from rim_runtime.loading import selftest
from rim_runtime.machine import lease

MB = 1_000_000


def unguarded(files: Any, sha256: str, opening: Callable[[], Backend]) -> Backend:
    """Open an engine on the file and leave it at that, as it was before."""
    return opening()


def refuse(lease: object) -> None:
    """Behave like a file system without leases."""
    raise OSError(errno.EINVAL, "no leases")


def memory() -> dict[str, float]:
    """Return MB: resident, of it private and shared, its peak, and the sealed copy, resident or not."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    now = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    maps = [
        line.split()[0].split("-") for line in Path("/proc/self/maps").read_text().splitlines() if "memfd:" in line
    ]
    found = {
        "resident": now["Rss"],
        "private": now["Anonymous"],
        "shared": now["Rss"] - now["Anonymous"],
        "peak": peak,
        "copy": sum(int(end, 16) - int(start, 16) for start, end in maps),
    }
    return {name: round(size / MB, 1) for name, size in found.items()}


def main() -> None:
    """Load, ask, say what it took."""
    way, bundle, engine, answers, question = sys.argv[1:]
    if way == "before":
        selftest.MappedBackend = unguarded  # type: ignore[assignment, misc]
    if way == "copy":
        lease.Lease._take = refuse  # type: ignore[method-assign]
    with Engine.load(bundle, engine=engine, answers=answers) as loaded:  # type: ignore[arg-type]
        first = loaded.ask(question)
        result: dict[str, Any] = {"answered": time.time(), "cpu_s": time.process_time()}
        result |= {"memory": memory(), "letter": first.letter}
        if way == "lease, then written":
            started = time.perf_counter()
            with next(Path(bundle).glob("*.data")).open("r+b"):  # waits for the copy
                result["writer_waits_s"] = round(time.perf_counter() - started, 3)
            assert loaded.ask(question).probabilities == first.probabilities
            result["memory"] = memory()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
