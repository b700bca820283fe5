"""llama.cpp on a GGUF file: `ask_llama_cpp.py GGUF LONGEST ["as it comes"]`, LONGEST the longest prompt's tokens.

Just what we do: the prompt's ids in one prefill, logits of its last row. With flash attention or without,
whichever this machine is faster with; "as it comes" lets llama.cpp choose, and tries nothing.
"""

from __future__ import annotations

import ctypes
import sys
import time
from typing import Any

import llama_cpp
import numpy as np
from serving import THREADS, serve

TRIALS = 3
TRIAL_TOKENS = 152


WAYS = {
    "flash": llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    "plain": llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED,
    "auto": llama_cpp.LLAMA_FLASH_ATTN_TYPE_AUTO,
}
"""Ways of attention."""


def context_of(model: Any, longest: int, way: str) -> Any:
    """Return a context that takes the longest prompt in one batch and keeps one row of logits."""
    settings = llama_cpp.llama_context_default_params()
    settings.n_ctx = settings.n_batch = settings.n_ubatch = longest
    settings.n_outputs_max = 1
    settings.n_threads = settings.n_threads_batch = THREADS
    settings.flash_attn_type = WAYS[way]
    settings.no_perf = True
    return llama_cpp.llama_init_from_model(model, settings)


def best_token(context: Any, vocabulary: int, ids: list[int]) -> int:
    """Return the likeliest token after a prompt."""
    llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), False)
    tokens = (ctypes.c_int32 * len(ids))(*ids)
    if llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(tokens, len(ids))):  # last row only
        raise RuntimeError("llama_decode failed")
    logits = llama_cpp.llama_get_logits_ith(context, -1)
    return int(np.ctypeslib.as_array(logits, (vocabulary,)).argmax())


def trial(model: Any, vocabulary: int, longest: int, way: str) -> float:
    """Return the best time of a few prefills."""
    context = context_of(model, longest, way)
    seconds = []
    for _ in range(1 + TRIALS):
        started = time.perf_counter()
        best_token(context, vocabulary, list(range(100, 100 + min(TRIAL_TOKENS, longest))))
        seconds.append(time.perf_counter() - started)
    llama_cpp.llama_free(context)
    return min(seconds[1:])


def main() -> None:
    """Load, try both ways of attention, serve the faster one."""
    path, longest = sys.argv[1], int(sys.argv[2])
    llama_cpp.llama_backend_init()
    model = llama_cpp.llama_model_load_from_file(path.encode(), llama_cpp.llama_model_default_params())
    if not model:
        raise RuntimeError(f"llama.cpp cannot load {path}")
    vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    tried = () if sys.argv[3:] else ("flash", "plain")
    trials = {way: trial(model, vocabulary, longest, way) for way in tried}
    way = min(trials, key=trials.__getitem__, default="auto")
    context = context_of(model, longest, way)
    serve(
        {"ask": lambda prompt: best_token(context, vocabulary, prompt["ids"])},
        {
            "llama-cpp-python": llama_cpp.__version__,
            "system": llama_cpp.llama_print_system_info().decode(),
            "attention": way,
            "trials_s": {way: round(seconds, 4) for way, seconds in trials.items()},
        },
    )


if __name__ == "__main__":
    main()
