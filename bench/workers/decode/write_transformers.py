"""transformers, in the checkpoint's own type: `write_transformers.py CHECKPOINT`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import torch
import transformers
from clock import asks_of
from serving import THREADS, serve


class TransformersWriter:
    """A model and its cache."""

    def __init__(self, model: Any) -> None:
        """Take a model."""
        self._model = model
        self._cache: Any = None

    @torch.inference_mode()
    def start(self, ids: Sequence[int], rows: int, tokens: int) -> list[int]:
        """Read the prompt once, and copy its cache for each row."""
        out = self._model(torch.tensor([list(ids)]), use_cache=True, logits_to_keep=1)
        self._cache = out.past_key_values
        if rows > 1:
            self._cache.batch_repeat_interleave(rows)
        return [int(out.logits[0, -1].argmax())] * rows

    @torch.inference_mode()
    def step(self, tokens: Sequence[int]) -> list[int]:
        """Read a token a row."""
        ids = torch.tensor(list(tokens))[:, None]
        out = self._model(ids, past_key_values=self._cache, use_cache=True)
        return [int(token) for token in out.logits[:, -1].argmax(-1)]


if __name__ == "__main__":
    torch.set_num_threads(THREADS)
    loaded = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype="auto").eval()
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "dtype": str(loaded.dtype)}
    serve(asks_of(TransformersWriter(loaded)), versions)
