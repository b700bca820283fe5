"""Rows of a benchmark: every engine that runs a bundle here, each in a process of its own, one after the other."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rim_runtime import EngineName, InputError, RimError, engine_statuses
from rim_runtime.errors import CheckError, EngineFailedError, EngineUnavailableError, UnavailableError

WORKER = "rim_edge.benchmark.worker"
_BRANCHES = (InputError, CheckError, UnavailableError)


@dataclass(frozen=True)
class EngineSpeed:
    """One engine's figures."""

    engine: str
    """Its name."""
    precision: str
    """The number format it ran in."""
    blocks: int
    """Memory blocks of each answer."""
    first_answer_s: float
    """From the start of its process's work to its first answer: libraries, loading, the first question."""
    start_s: float
    """Of a new process, up to its first work: the interpreter and our own code."""
    load_s: float
    """Then: the engine's libraries, and the bundle loaded (and tested, if it is new here)."""
    first_ms: float
    """The first answer after loading; those after it are warm."""
    p50_ms: float
    """Half of the warm answers came within it."""
    p99_ms: float
    """99 of 100 did."""
    rounds: int
    """Answers that were timed."""
    peak_gib: float | None
    """The most memory of its process."""
    first_token_ms: float | None = None
    """Of a text, the median; None where it writes none."""
    tokens_a_second: float | None = None
    """Of a text after its first token."""


@dataclass(frozen=True)
class NotRun:
    """An engine that has no figures."""

    engine: str
    """Its name."""
    reason: str
    """Why."""
    code: int = UnavailableError.exit_code
    """The exit code of the error that the reason is."""

    def error(self) -> RimError:
        """Return it as an error, of the branch that its exit code is of."""
        branch = next((one for one in _BRANCHES if one.exit_code == self.code), EngineFailedError)
        return branch(f"{self.engine} was not measured: {self.reason}")

    def to_json(self) -> dict[str, str]:
        """Return it as `--json` prints it."""
        return {"engine": self.engine, "reason": self.reason}


@dataclass(frozen=True)
class Wanted:
    """What is measured."""

    folder: Path
    """The bundle."""
    engines: tuple[EngineName, ...]
    """None named: all that can run here."""
    precision: str | None
    """None: each engine's first."""
    rounds: int
    """Answers of each engine."""
    tokens: int
    """Of each text."""


def measure(wanted: Wanted, doing: Callable[[str], None]) -> tuple[list[EngineSpeed], list[NotRun]]:
    """Measure each engine; what cannot run says why.

    An engine that was named is honoured or refused: raises EngineUnavailableError before anything is measured if
    one of them cannot run here, and RimError where one fails.
    """
    found: list[EngineSpeed] = []
    missing: list[NotRun] = []
    statuses = [one for one in engine_statuses() if not wanted.engines or one.name in wanted.engines]
    for status in statuses:
        if wanted.engines and not status.available:
            raise EngineUnavailableError(
                f"--engine {status.name} cannot run here, so nothing was measured. {status.reason}"
            )
    for status in statuses:
        if not status.available:
            missing.append(NotRun(status.name, status.reason))
            continue
        doing(f"measuring {status.name}")
        told = _run(wanted, status.name)
        if "error" not in told:
            found.append(_speed(told))
            continue
        failed = NotRun(status.name, told["error"]["message"], told["error"]["code"])
        if wanted.engines:
            raise failed.error()
        missing.append(failed)
    return found, missing


def _run(wanted: Wanted, engine: EngineName) -> Mapping[str, Any]:
    command = [sys.executable, "-m", WORKER, str(wanted.folder), engine, wanted.precision or ""]
    numbers = (wanted.rounds, wanted.tokens, time.time())
    done = subprocess.run([*command, *map(str, numbers)], capture_output=True, text=True)
    try:
        return dict(json.loads(done.stdout.splitlines()[-1]))
    except (ValueError, IndexError):
        message = f"its process ended with {done.returncode}: {done.stderr.strip()[-300:] or 'no word'}"
        return {"error": {"code": EngineFailedError.exit_code, "message": message}}


def _speed(told: Mapping[str, Any]) -> EngineSpeed:
    letters, texts = sorted(told["letters_s"]), told["texts"]
    peak = told["peak_bytes"]
    return EngineSpeed(
        engine=told["engine"],
        precision=told["precision"],
        blocks=told["blocks"],
        first_answer_s=round(told["load_s"] + told["first_s"], 3),
        start_s=round(told["start_s"], 3),
        load_s=round(told["load_s"], 3),
        first_ms=round(1000 * told["first_s"], 3),
        p50_ms=round(1000 * statistics.median(letters), 3),
        p99_ms=round(1000 * _at(letters, 0.99), 3),
        rounds=len(letters),
        peak_gib=None if peak is None else round(peak / 2**30, 3),
        first_token_ms=round(statistics.median(one["first_ms"] for one in texts), 2) if texts else None,
        tokens_a_second=round(_pace(texts), 2) if texts else None,
    )


def _pace(texts: Sequence[Mapping[str, float]]) -> float:
    return statistics.median(one["tokens"] / one["rest_s"] for one in texts)


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
