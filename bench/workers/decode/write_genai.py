"""onnxruntime-genai on a model of its own builder: `write_genai.py FOLDER`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime_genai as genai
from clock import asks_of
from serving import THREADS, serve


class GenaiWriter:
    """A model and its generator, a new one for each request."""

    def __init__(self, model: Any) -> None:
        """Take a model."""
        self._model = model
        self._generator: Any = None

    def start(self, ids: Sequence[int], rows: int, tokens: int) -> list[int]:
        """Read the prompt, once for each row: its texts have no common cache."""
        parameters = genai.GeneratorParams(self._model)
        length = len(ids) + tokens + 1
        # min_length: what ends a text is not written before
        parameters.set_search_options(max_length=length, min_length=length, do_sample=False, batch_size=rows)
        self._generator = genai.Generator(self._model, parameters)
        self._generator.append_tokens(np.array([list(ids)] * rows, np.int32))
        return self._next()

    def step(self, tokens: Sequence[int]) -> list[int]:
        """Read the tokens that it gave itself."""
        return self._next()

    def _next(self) -> list[int]:
        self._generator.generate_next_token()
        return [int(token) for token in self._generator.get_next_tokens()]


def main() -> None:
    """Load and serve."""
    settings = genai.Config(sys.argv[1])
    settings.overlay(json.dumps({"model": {"decoder": {"session_options": {"intra_op_num_threads": THREADS}}}}))
    serve(asks_of(GenaiWriter(genai.Model(settings))), {"onnxruntime-genai": genai.__version__})


if __name__ == "__main__":
    main()
