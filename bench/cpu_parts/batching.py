"""Sixteen questions in one call against sixteen calls, in turns, in one process."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from harness.place import Place
from harness.rounds import summary
from harness.row import Missing, Row
from harness.worker import Worker, WorkerDiedError

QUESTIONS = 16
ROUNDS = {64: 5, 152: 5}
FILLERS = ["and", "the", "of", "to", "in", "is", "it", "on", "as", "at", "by", "or", "but", "for", "not", "with"]
"""Words of one token, a question each: sixteen different questions of one length."""


def measure_batch(place: Place, row: Row | Missing, texts: Mapping[int, Sequence[str]]) -> dict[str, Any]:
    """Return answers a second, batched and single, by prompt length; and whether the letters were the same."""
    if isinstance(row, Missing):
        return {"missing": {row.name: row.reason}}
    try:
        worker = Worker.start(row, place.log(f"batch {row.name}"))
        try:
            return {
                "lengths": {str(length): _of_length(worker, texts[length], ROUNDS[length]) for length in texts}
            }
        finally:
            worker.stop()
    except WorkerDiedError as error:
        return {"missing": {row.name: f"does not answer: {error}"}}


def _of_length(worker: Worker, texts: Sequence[str], rounds: int) -> dict[str, Any]:
    prompt = {"questions": list(texts)}
    turns = [{way: worker.ask(way, prompt) for way in ("batch", "singles")} for _ in range(rounds + 1)]
    seconds = {way: [turn[way].seconds for turn in turns[1:]] for way in ("batch", "singles")}
    print(f"batch: {min(seconds['batch']):.2f} s against {min(seconds['singles']):.2f} s", file=sys.stderr)
    rates = {f"{way}_per_s": round(len(texts) / summary(times)["p50_s"], 3) for way, times in seconds.items()}
    same = all(turn["batch"].result == turn["singles"].result for turn in turns)
    return {**{way: summary(times) for way, times in seconds.items()}, **rates, "same_letters": same}
