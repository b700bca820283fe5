"""Answers by one letter each: questions in batches, from the engine's logits to answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np

from rim_runtime.answer import Answer, lead_of, read_letters
from rim_runtime.bundle.manifest import Manifest
from rim_runtime.engines.backend import Backend, Floats, run_rows
from rim_runtime.engines.cancellation import Cancellation, require_cancellation
from rim_runtime.engines.shapes import similar_lengths
from rim_runtime.errors import BrokenLogitsError
from rim_runtime.prepared import PreparedQuestion, PreparedQuestions


@dataclass(frozen=True)
class LetterReader:
    """What answers the questions of one bundle by letters."""

    manifest: Manifest
    backend: Backend
    run: Callable[[], AbstractContextManager[None]]
    """Holds the engine open during a batch. Raises EngineClosedError."""

    def answers(self, asked: PreparedQuestions, cancel: Cancellation | None) -> Iterator[tuple[int, Answer]]:
        """Answer batch by batch, the shortest first; each is a run of its own, or a part of one under way.

        Gives each answer with its question's place. Raises EngineFailedError, EngineClosedError, CancelledError;
        InputError at once, for a `cancel` that is none.
        """
        require_cancellation(cancel)
        return self._batches(asked, cancel)

    def _batches(self, asked: PreparedQuestions, cancel: Cancellation | None) -> Iterator[tuple[int, Answer]]:
        rows = asked.rows
        lengths = [len(row.ids) + self.manifest.prompt.fixed_tokens for row in rows]
        for batch in similar_lengths(lengths, self.backend.batch_tokens):
            start = time.perf_counter()
            with self.run():
                logits = run_rows(self.backend, [rows[index].ids for index in batch], asked.blocks, cancel)
            seconds = (time.perf_counter() - start) / len(batch) + asked.seconds
            for index, row_logits in zip(batch, logits, strict=True):
                yield index, self.answer(rows[index], row_logits, asked.blocks, 1000 * seconds)

    def answer(self, row: PreparedQuestion, logits: Floats, blocks: int, latency_ms: float) -> Answer:
        """Read a question's answer from its logits, float32 [letters]. Raises BrokenLogitsError."""
        if not np.isfinite(logits).all():
            raise BrokenLogitsError(self.backend.name, self.backend.precision)
        letters = tuple(self.manifest.letters)
        letter, probabilities = read_letters(logits, letters, tuple(row.offered))
        return Answer(
            letter=letter,
            choice=row.offered.get(letter),
            probabilities=probabilities,
            letter_logits={name: float(value) for name, value in zip(letters, logits, strict=True)},
            confidence=probabilities[letter],
            lead=lead_of(probabilities),
            blocks=blocks,
            engine=self.backend.name,
            precision=self.backend.precision,
            bundle=self.manifest.name,
            latency_ms=latency_ms,
        )
