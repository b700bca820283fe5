"""llama.cpp on a GGUF file: `answer_llama_cpp.py GGUF`. Attention as its trial says is faster."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any

import llama_cpp
import numpy as np
from ask_llama_cpp import WAYS, trial
from serving import THREADS, Prompt, serve

LONGEST = 1024
"""Tokens of the longest prompt."""


def load(path: str) -> Any:
    """Return a model."""
    llama_cpp.llama_backend_init()
    model = llama_cpp.llama_model_load_from_file(path.encode(), llama_cpp.llama_model_default_params())
    if not model:
        raise RuntimeError(f"llama.cpp cannot load {path}")
    return model


MODEL = load(sys.argv[1])
VOCABULARY = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(MODEL))
TRIALS = {way: trial(MODEL, VOCABULARY, LONGEST, way) for way in ("flash", "plain")}
WAY = min(TRIALS, key=TRIALS.__getitem__)


@cache
def context(outputs: int) -> Any:
    """Return a context that takes the longest prompt in one batch and keeps so many rows of logits."""
    settings = llama_cpp.llama_context_default_params()
    settings.n_ctx = settings.n_batch = settings.n_ubatch = LONGEST
    settings.n_outputs_max = outputs
    settings.n_threads = settings.n_threads_batch = THREADS
    settings.flash_attn_type = WAYS[WAY]
    settings.no_perf = True
    return llama_cpp.llama_init_from_model(MODEL, settings)


def logits(ids: list[int], every: bool) -> np.ndarray:
    """Return logits of every row, or of the last one: float32 [rows, vocabulary]."""
    where = context(LONGEST if every else 1)
    llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(where), False)
    batch = llama_cpp.llama_batch_init(len(ids), 0, 1)
    try:
        batch.n_tokens = len(ids)
        for place, token in enumerate(ids):
            batch.token[place], batch.pos[place] = token, place
            batch.n_seq_id[place], batch.seq_id[place][0] = 1, 0
            batch.logits[place] = every or place == len(ids) - 1
        if llama_cpp.llama_decode(where, batch):
            raise RuntimeError("llama_decode failed")
    finally:
        llama_cpp.llama_batch_free(batch)
    rows = len(ids) if every else 1
    found = llama_cpp.llama_get_logits(where)
    pointer = ctypes.cast(found, ctypes.POINTER(ctypes.c_float))
    return np.ctypeslib.as_array(pointer, (rows, VOCABULARY)).copy()


def rows(prompt: Prompt) -> None:
    """Write every row's logits to the file that is named."""
    np.save(prompt["target"], logits(prompt["ids"], every=True))


def letters(prompt: Prompt) -> list[float]:
    """Return the letters' logits."""
    return [float(value) for value in logits(prompt["ids"], every=False)[-1, prompt["letters"]]]


if __name__ == "__main__":
    ready = {"llama-cpp-python": llama_cpp.__version__, "attention": WAY}
    serve(
        {"rows": rows, "letters": letters}, ready | {"trials_s": {way: round(s, 4) for way, s in TRIALS.items()}}
    )
