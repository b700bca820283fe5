"""llama.cpp on a GGUF file: `write_llama_cpp.py GGUF LONGEST ROWS`, LONGEST tokens in each of ROWS texts at most.

With flash attention or without, whichever writes faster here. Texts at once are sequences of one batch; the prompt
is read once, and its cache copied.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Sequence
from typing import Any

import llama_cpp
import numpy as np
from clock import Writer, asks_of
from serving import THREADS, serve

WAYS = {
    "flash": llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    "plain": llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED,
}
TRIAL_PROMPT, TRIAL_TOKENS = 64, 8


class LlamaWriter:
    """A context, and how much each of its sequences has read."""

    def __init__(self, model: Any, longest: int, rows: int, way: str) -> None:
        """Make a context with room for `rows` texts of `longest` tokens."""
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx, settings.n_seq_max = longest * rows, rows
        settings.n_batch = settings.n_ubatch = longest
        settings.n_threads = settings.n_threads_batch = THREADS
        settings.flash_attn_type = WAYS[way]
        settings.no_perf = True
        self.context = llama_cpp.llama_init_from_model(model, settings)
        self._batch = llama_cpp.llama_batch_init(longest, 0, 1)
        self._vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
        self._length = 0

    def start(self, ids: Sequence[int], rows: int, tokens: int) -> list[int]:
        """Read the prompt as the first sequence, and copy its cache for the others."""
        memory = llama_cpp.llama_get_memory(self.context)
        llama_cpp.llama_memory_clear(memory, False)
        self._length = len(ids)
        self._decode([(token, place, 0, place == len(ids) - 1) for place, token in enumerate(ids)])
        for row in range(1, rows):
            llama_cpp.llama_memory_seq_cp(memory, 0, row, -1, -1)
        return [self._likeliest(len(ids) - 1)] * rows

    def step(self, tokens: Sequence[int]) -> list[int]:
        """Read a token a row."""
        self._decode([(token, self._length, row, True) for row, token in enumerate(tokens)])
        self._length += 1
        return [self._likeliest(row) for row in range(len(tokens))]

    def _decode(self, entries: Sequence[tuple[int, int, int, bool]]) -> None:
        batch = self._batch
        batch.n_tokens = len(entries)
        for number, (token, place, row, is_read) in enumerate(entries):
            batch.token[number], batch.pos[number], batch.logits[number] = token, place, is_read
            batch.n_seq_id[number], batch.seq_id[number][0] = 1, row
        if llama_cpp.llama_decode(self.context, batch):
            raise RuntimeError("llama_decode failed")

    def _likeliest(self, entry: int) -> int:
        logits = llama_cpp.llama_get_logits_ith(self.context, entry)
        values = ctypes.cast(logits, ctypes.POINTER(ctypes.c_float))
        return int(np.ctypeslib.as_array(values, (self._vocabulary,)).argmax())


def trial(writer: Writer) -> float:
    """Return the seconds of a few tokens."""
    tokens = writer.start(range(100, 100 + TRIAL_PROMPT), 1, TRIAL_TOKENS)
    writer.step(tokens)
    began = time.perf_counter()
    for _ in range(TRIAL_TOKENS):
        tokens = writer.step(tokens)
    return time.perf_counter() - began


def main() -> None:
    """Load, try both ways of attention, serve the faster one."""
    path, longest, rows = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    llama_cpp.llama_backend_init()
    model = llama_cpp.llama_model_load_from_file(path.encode(), llama_cpp.llama_model_default_params())
    if not model:
        raise RuntimeError(f"llama.cpp cannot load {path}")
    trials = {}
    for way in WAYS:
        tried = LlamaWriter(model, longest, rows, way)
        trials[way] = round(trial(tried), 4)
        llama_cpp.llama_free(tried.context)
    way = min(trials, key=trials.__getitem__)
    versions = {"llama-cpp-python": llama_cpp.__version__, "attention": way, "trials_s": trials}
    serve(asks_of(LlamaWriter(model, longest, rows, way)), versions)


if __name__ == "__main__":
    main()
