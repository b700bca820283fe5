"""What a run writes down while it goes on: metrics.jsonl, and TensorBoard's events where they are asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path

from rim_edge.train.audience import Audience
from rim_edge.train.board import Board
from rim_edge.train.loop import Step
from rim_edge.train.scores import StageScores

METRICS_EVERY = 10
"""Steps between two rows; the first step of a stage has one too."""


@contextmanager
def recorded(audience: Audience, metrics: Path, events: Path | None, done: int) -> Iterator[Audience]:
    """Give an audience that writes down what it is told and passes it on.

    `done` steps stand in the metrics already; the events go into the folder `events`. Raises StorageError.
    """
    board: Board | nullcontext[None] = nullcontext() if events is None else Board(events, done)
    with board as opened, metrics.open("a", encoding="utf-8") as rows:

        def step(told: Step) -> None:
            if told.step % METRICS_EVERY == 0 or told.step == 1:
                rows.write(json.dumps(asdict(told)) + "\n")
                rows.flush()
                if opened:
                    opened.step(told)
            audience.step(told)

        def scored(told: StageScores) -> None:
            if opened:
                opened.scored(told)
            audience.scored(told)

        yield replace(audience, step=step, scored=scored)
