"""A decoder graph in ONNX Runtime, as a certificate asks it: nothing is shared, cached or streamed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rim_runtime.bundle.manifest import Precision
from rim_runtime.engines.ort_cpu import SAFE_PRODUCTS, SESSION_ENTRIES, saturates
from rim_runtime.libraries.onnxruntime import import_onnxruntime
from rim_runtime.machine.cpu import this_cpu

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class DecoderRun:
    """What a run of a decoder gives (docs/bundle-format.md)."""

    logits: Floats
    """[batch, kept, vocabulary]."""
    states: Floats
    """[batch, kept, width], after the last norm, in the checkpoint's own channels."""
    cache: tuple[Floats, ...]
    """Keys and values of each layer, [batch, key_value_heads, total, head_size]."""


class DecoderSession:
    """A decoder graph, opened."""

    def __init__(self, graph: Path, precision: Precision) -> None:
        library = import_onnxruntime()
        options = library.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = this_cpu().cores or 0
        for key, value in SESSION_ENTRIES.get(precision, {}).items():
            options.add_session_config_entry(key, value)
        if precision is Precision.INT8 and saturates(library):
            options.add_session_config_entry(SAFE_PRODUCTS, "1")
        self._session: Any = library.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        inputs = {one.name: one.shape for one in self._session.get_inputs()}
        self._cache = {name: shape for name, shape in inputs.items() if name.startswith("past_key_values")}

    def run(
        self,
        ids: Ints,
        past: Sequence[Floats] = (),
        *,
        mask: Ints | None = None,
        positions: Ints | None = None,
        vectors: Floats | None = None,
        keep: int | None = None,
    ) -> DecoderRun:
        """Run ids [batch, sequence] behind a cache; `mask` and `positions` None: nothing is padded."""
        (batch, tokens), before = ids.shape, past[0].shape[2] if past else 0
        every = np.arange(before, before + tokens)[None].repeat(batch, 0)
        empty = [np.zeros((batch, heads, 0, size), np.float32) for _, heads, _, size in self._cache.values()]
        feed: dict[str, NDArray[Any]] = {
            "input_ids": ids,
            "attention_mask": np.ones((batch, before + tokens), np.int64) if mask is None else mask,
            "position_ids": every if positions is None else positions,
            **dict(zip(self._cache, past or empty, strict=True)),
        }
        if vectors is not None:
            feed["inputs_embeds"] = vectors
        if keep is not None:
            feed["num_logits_to_keep"] = np.array(keep)
        logits, states, *cache = self._session.run(None, feed)
        return DecoderRun(logits, states, tuple(cache))

    def greedy(
        self, prompt: Sequence[int], count: int, follow: Callable[[DecoderRun], DecoderRun] | None = None
    ) -> tuple[tuple[int, ...], Floats]:
        """Return the likeliest next token, `count` times, and the logits that chose each, [count, vocabulary].

        `follow` runs what stands between the prompt and the first token.
        """
        run = self.run(np.array([prompt], np.int64))
        run = follow(run) if follow else run
        tokens, logits = [int(run.logits[0, -1].argmax())], [run.logits[0, -1]]
        while len(tokens) < count:
            run = self.run(np.array([tokens[-1:]], np.int64), run.cache)
            logits.append(run.logits[0, -1])
            tokens.append(int(logits[-1].argmax()))
        return tuple(tokens), np.stack(logits)
