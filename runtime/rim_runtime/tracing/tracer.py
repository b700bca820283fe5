"""From a question to its trace."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np

from rim_runtime.bundle.manifest import Manifest
from rim_runtime.bundle.roles import Decoding, decoding
from rim_runtime.engines.backend import Floats
from rim_runtime.engines.cancellation import Cancellation, require_cancellation
from rim_runtime.engines.late import Late
from rim_runtime.engines.traces.readouts import LettersByTrace, TraceEngine
from rim_runtime.errors import BrokenLogitsError, InputError
from rim_runtime.letters import LetterReader
from rim_runtime.prepared import PreparedQuestions
from rim_runtime.prompt.encoder import PromptEncoder
from rim_runtime.tracing.trace import FirstToken, Trace


@dataclass(frozen=True)
class Tracer:
    """What traces the answers of one bundle; the first trace opens the graph."""

    manifest: Manifest
    encoder: PromptEncoder
    engine: Late[TraceEngine]
    run: Callable[[], AbstractContextManager[None]]
    """Holds the engine open during a run. Raises EngineClosedError."""

    def trace(self, asked: PreparedQuestions, cancel: Cancellation | None) -> Trace:
        """Trace the first question. Raises what opening and running the graph do; InputError for wrong values."""
        require_cancellation(cancel)
        (question, *_), contract = asked.rows, self.manifest.prompt
        with self.run():
            engine = self.engine.get(cancel)
            start = time.perf_counter()
            ids, length = np.array([question.ids], np.int64), np.array([len(question.ids)], np.int64)
            found = engine.run(ids, length, cancel)
        milliseconds = 1000 * (time.perf_counter() - start + asked.seconds)
        reader = LetterReader(self.manifest, LettersByTrace(engine), self.run)
        share = milliseconds / (contract.blocks + 1)
        answers = (reader.answer(question, row, blocks, share) for blocks, row in enumerate(found.letters[0]))
        told = decoding(self.manifest)
        if found.tokens is None or told is None:
            return Trace(tuple(answers), (), milliseconds)
        if not np.isfinite(found.tokens).all():
            raise BrokenLogitsError(engine.name, engine.precision)
        return Trace(tuple(answers), tuple(self._first_token(row, told) for row in found.tokens[0]), milliseconds)

    def _first_token(self, logits: Floats, told: Decoding) -> FirstToken:
        token = int(logits.argmax())
        probability = 1 / float(np.exp((logits - logits[token]).astype(np.float64)).sum())
        if token in told.control_ids:
            return FirstToken(token, "", probability)
        shown = told.shown_tokens.get(str(token))
        return FirstToken(token, shown or self.encoder.token_texts([token])[0], probability)


def no_trace(manifest: Manifest) -> InputError:
    """Return the error of a bundle that is asked for a trace and has none."""
    if not manifest.prompt.blocks:
        return InputError(
            f"The bundle {manifest.name} has no memory blocks, so there is nothing to trace, expected one with "
            "some. Add them to its checkpoint (rim-edge train), and export that with --trace."
        )
    return InputError(
        f"The bundle {manifest.name} has no trace, expected one that was exported with it. Export it again with: "
        "rim-edge export --trace. Without it, the answer behind N blocks: rim-edge ask --blocks N"
    )
