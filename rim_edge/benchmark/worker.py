"""One engine in a process of its own: from its start to the first answer, then answers and texts one by one.

    python -m rim_edge.benchmark.worker FOLDER ENGINE PRECISION ROUNDS TOKENS STARTED

STARTED is when its process was started, in seconds as `time.time` counts them. Writes one line of JSON: the times
that `engines.py` turns into a row, or an error.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from rim_runtime import Engine, Question, RimError
from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.roles import Ability, abilities
from rim_runtime.errors import error_to_json
from rim_runtime.machine.peak_memory import peak_memory
from rim_runtime.prompt.contract import TextForm

_WARM_UP = 3
"""Answers before those that are timed."""


def main(folder: str, engine: str, precision: str, rounds: str, tokens: str, started: str) -> None:
    """Measure, and write what was found."""
    start_s = max(0.0, time.time() - float(started))
    try:
        found = _measured(Path(folder), engine, precision or None, int(rounds), int(tokens))
        found["start_s"] = start_s
    except RimError as error:
        found = {"error": error_to_json(error)}
    sys.stdout.write(json.dumps(found) + "\n")


def _measured(folder: Path, name: str, precision: str | None, rounds: int, tokens: int) -> dict[str, Any]:
    began = time.perf_counter()
    questions = [one.question for one in Bundle.load(folder).golden_questions()]
    with Engine.load(folder, engine=name, precision=precision) as engine:
        load_s = time.perf_counter() - began
        first_s = _timed(lambda: engine.ask(questions[0]))
        writes = Ability.TEXT in abilities(engine.manifest)
        if writes:
            _require_room(engine, questions, tokens)
        for place in range(_WARM_UP):
            engine.ask(questions[place % len(questions)])
        letters = [_timed(lambda at=at: engine.ask(questions[at % len(questions)])) for at in range(rounds)]
        texts = _texts(engine, questions, tokens) if writes else []
        return {
            "engine": engine.name,
            "precision": engine.precision,
            "blocks": engine.manifest.prompt.blocks,
            "load_s": load_s,
            "first_s": first_s,
            "letters_s": letters,
            "texts": texts,
            "peak_bytes": peak_memory(),
        }


def _timed(work: Any) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _written(questions: list[str]) -> list[Question]:
    return [Question(question, form=TextForm.CHAT) for question in questions[:4]]


def _require_room(engine: Engine, questions: list[str], tokens: int) -> None:
    """Raise QuestionError where a text of so many tokens has no room, before anything else is timed."""
    for question in _written(questions):
        engine.generate(question, max_tokens=tokens)


def _texts(engine: Engine, questions: list[str], tokens: int) -> list[dict[str, float]]:
    """Return the first token's time and the rest's pace of a text for some questions, the first one apart."""
    found = []
    for question in _written(questions):
        text = engine.generate(question, max_tokens=tokens).result()
        written = len(text.tokens) - 1
        if written > 0:
            rest_s = (text.latency_ms - text.first_token_ms) / 1000
            found.append({"first_ms": text.first_token_ms, "tokens": written, "rest_s": rest_s})
    return found[1:] or found


if __name__ == "__main__":
    main(*sys.argv[1:])
