"""Rows that are alive together and asked in turns, so that a noisy machine is noisy for all of them alike."""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.made import bytes_of
from harness.place import Place, our_environment
from harness.row import Missing, Row
from harness.worker import Asked, Worker, WorkerDiedError, evict

ROUNDS = {64: 9, 152: 9, 512: 5}
"""Rounds by prompt length in tokens; the target's length is 152. Every length has a round more, its first."""
TARGET_LENGTH = 152
COLD_STARTS = 2

Prompts = Mapping[int, Mapping[str, Any]]


def measure_group(
    place: Place, rows: Sequence[Row | Missing], prompts: Prompts, rounds: Mapping[int, int]
) -> dict[str, Any]:
    """Start every row, ask all of them in turns; return what each took, and why a row is missing."""
    missing = {row.name: row.reason for row in rows if isinstance(row, Missing)}
    workers: list[Worker] = []
    asked: dict[tuple[str, str, int], list[Asked]] = {}
    try:
        for row in rows:
            if isinstance(row, Row) and (worker := _start(place, row, missing)):
                workers.append(worker)
        first_memory = _ask_all(workers, prompts, rounds, asked)
        results = {
            worker.row.name: _result(worker, asked, prompts) | {"memory_first_gib": first_memory[worker.row.name]}
            for worker in workers
        }
    finally:
        for worker in workers:
            worker.stop()
    return {"rows": results, "missing": missing}


def _start(place: Place, row: Row, missing: dict[str, str]) -> Worker | None:
    try:
        return Worker.start(row, place.log(row.name))
    except WorkerDiedError as error:
        missing[row.name] = f"does not start: {error}"
        return None


def _ask_all(
    workers: Sequence[Worker],
    prompts: Prompts,
    rounds: Mapping[int, int],
    asked: dict[tuple[str, str, int], list[Asked]],
) -> dict[str, dict[str, float]]:
    """Ask in turns, TARGET_LENGTH first; return each one's memory after its very first request."""
    memory: dict[str, dict[str, float]] = {}
    lengths = sorted(prompts, key=lambda length: length != TARGET_LENGTH)
    for number in range(max(rounds.values()) + 1):
        for length in lengths:
            if number > rounds[length]:
                continue
            for worker in workers:
                for ask in worker.row.asks:
                    answer = worker.ask(ask, dict(prompts[length]))
                    asked.setdefault((worker.row.name, ask, length), []).append(answer)
                memory.setdefault(worker.row.name, worker.memory_gib())
            print(f"round {number}, {length} tokens", file=sys.stderr)
    return memory


def _result(
    worker: Worker, asked: Mapping[tuple[str, str, int], Sequence[Asked]], prompts: Prompts
) -> dict[str, Any]:
    row = worker.row
    times = {
        ask: {str(length): summary([a.seconds for a in asked[row.name, ask, length][1:]]) for length in prompts}
        for ask in row.asks
    }
    answers = {
        ask: {str(length): [a.result for a in asked[row.name, ask, length]] for length in prompts}
        for ask in row.asks
    }
    firsts = {ask: round(asked[row.name, ask, TARGET_LENGTH][0].seconds, 4) for ask in row.asks}
    return {
        "layers": row.layers,
        "ours": row.ours,
        "note": row.note,
        "ready": worker.ready,
        "start_s": round(worker.start_s, 3),
        "first_request_s": firsts,
        "times": times,
        "answers": answers,
        "memory_gib": worker.memory_gib(),
        "disk_bytes": bytes_of(row.model),
    }


def summary(seconds: Sequence[float]) -> dict[str, Any]:
    """Return median, 90th percentile and number of times, in seconds."""
    p90 = statistics.quantiles(seconds, n=10, method="inclusive")[-1] if len(seconds) > 1 else seconds[0]
    return {"p50_s": round(statistics.median(seconds), 5), "p90_s": round(p90, 5), "n": len(seconds)}


def measure_cold(place: Place, rows: Sequence[Row | Missing], prompts: Prompts) -> dict[str, Any]:
    """Start each row alone, its files dropped from the page cache and our own home empty; ask it once.

    `start_s` is from before the process starts until it is ready, `first_s` its first request.
    """
    missing = {row.name: row.reason for row in rows if isinstance(row, Missing)}
    results: dict[str, Any] = {}
    for row in rows:
        if isinstance(row, Missing):
            continue
        try:
            starts = [_cold_start(place, row, prompts[TARGET_LENGTH]) for _ in range(COLD_STARTS)]
        except WorkerDiedError as error:
            missing[row.name] = f"does not start: {error}"
            continue
        start, first = (statistics.median(column) for column in zip(*starts, strict=True))
        results[row.name] = {"start_s": round(start, 3), "first_s": round(first, 3), "n": COLD_STARTS}
        print(f"cold: {row.name} {start:.1f} s + {first:.2f} s", file=sys.stderr)
    return {"rows": results, "missing": missing}


def _cold_start(place: Place, row: Row, prompt: Mapping[str, Any]) -> tuple[float, float]:
    home = Path(tempfile.mkdtemp(dir=place.work))
    try:
        evict(row.model)
        environment = our_environment(home) if row.ours else row.environment
        alone = replace(row, environment=environment, command=row.command + row.cold)
        worker = Worker.start(alone, place.log(f"cold {row.name}"))
        try:
            return worker.start_s, worker.ask(row.asks[0], dict(prompt)).seconds
        finally:
            worker.stop()
    finally:
        shutil.rmtree(home)
