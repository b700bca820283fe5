"""The measuring side of a worker: start it, ask it, look at its memory, let it end."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.made import TAIL
from harness.row import Row

GIB = 2**30
MEMORY = {"resident": "VmRSS", "peak": "VmHWM", "private": "RssAnon"}
"""Our names of what /proc/PID/status says: now, at its highest, and the part of now that no file backs."""


class WorkerDiedError(Exception):
    """A worker ended without an answer; the text is the end of what it said."""


@dataclass(frozen=True)
class Asked:
    """One answer."""

    seconds: float
    """From the request's arrival at the worker to its answer."""
    result: Any
    """What it answered."""


@dataclass
class Worker:
    """A process that answers when it is told to."""

    row: Row
    """What it is."""
    process: subprocess.Popen[str]
    """The process."""
    log: Path
    """What it said on standard error."""
    start_s: float = 0.0
    """From before the process started until it was ready to answer."""
    ready: dict[str, Any] = field(default_factory=dict)
    """What it said of itself when it was ready: versions, chosen settings."""

    @classmethod
    def start(cls, row: Row, log: Path) -> Worker:
        """Start a row's worker and wait until it is ready. Raises WorkerDiedError."""
        started = time.perf_counter()
        with log.open("w") as errors:
            process = subprocess.Popen(
                row.command,
                env=dict(row.environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        worker = cls(row, process, log)
        worker.ready = worker._hear()
        worker.start_s = time.perf_counter() - started
        return worker

    def ask(self, name: str, prompt: dict[str, Any]) -> Asked:
        """Ask once. Raises WorkerDiedError."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"ask": name, **prompt}) + "\n")
        self.process.stdin.flush()
        message = self._hear()
        return Asked(message["seconds"], message["result"])

    def _hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            said = " ".join(self.log.read_text(errors="replace")[-TAIL:].split())
            raise WorkerDiedError(f"exit {code}: {said}")
        return dict(json.loads(line))

    def memory_gib(self) -> dict[str, float]:
        """Return resident memory now and at its peak, and the private part of now, in GiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in status if line.endswith(" kB")}
        return {name: round(kilobytes[key] * 1024 / GIB, 3) for name, key in MEMORY.items()}

    def stop(self) -> None:
        """Let it end."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait()


def evict(model: Path) -> None:
    """Drop a file's, or a folder's files', pages from the page cache, so that the next start reads the disk."""
    for file in model.rglob("*") if model.is_dir() else (model,):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)
