"""One of our bundles: `write_bundle.py BUNDLE`. Its decoder, opened as an engine opens it, and its single pass."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from clock import asks_of
from rim_runtime.engines.backend import Answers, EngineOptions
from rim_runtime.engines.decoders.decoder import Decoder, DecoderState
from rim_runtime.libraries.onnxruntime import import_onnxruntime
from rim_runtime.loading.load import load_parts
from serving import THREADS, Prompt, serve


class BundleWriter:
    """A decoder and what it has read."""

    def __init__(self, decoder: Decoder) -> None:
        """Take a decoder."""
        self._decoder = decoder
        self._state: DecoderState | None = None

    def start(self, ids: Sequence[int], rows: int, tokens: int) -> list[int]:
        """Read the prompt once, and copy its cache for each row."""
        state, step = self._decoder.start(ids, len(ids) + tokens)
        self._state = self._decoder.fork(state, rows) if rows > 1 else state
        return [int(step.logits[0].argmax())] * rows

    def step(self, tokens: Sequence[int]) -> list[int]:
        """Read a token a row."""
        assert self._state is not None
        logits = self._decoder.step(self._state, np.array(tokens, np.int64)).logits
        return [int(token) for token in logits.argmax(-1)]


def main() -> None:
    """Load and serve."""
    use = EngineOptions(THREADS, Answers.MANY, None)
    parts = load_parts(Path(sys.argv[1]), "ort-cpu", None, use, None)
    assert parts.open_decoder is not None, "exported with --answers text"
    writer = BundleWriter(parts.open_decoder(None))

    def single_pass(prompt: Prompt) -> int:
        """Read the same prompt for a letter."""
        segment = np.array([prompt["segment"]], np.int64)
        length, blocks = np.array([segment.shape[1]], np.int64), np.array([0], np.int64)
        return int(parts.backend.run(segment, length, blocks)[0].argmax())

    versions = {"onnxruntime": import_onnxruntime().__version__, "precision": str(parts.backend.precision)}
    serve({"single pass": single_pass, **asks_of(writer)}, versions)


if __name__ == "__main__":
    main()
