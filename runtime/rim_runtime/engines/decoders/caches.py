"""How the keys and values of what was read are kept between the runs of a decoder (docs/bundle-format.md).

`BufferCache` gives ONNX Runtime one buffer as past and as present: new tokens are written into it, and nothing is
copied. `AppendedCache` takes what each run returns, the new tokens copied behind the old ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from rim_runtime.bundle.roles import Cache, Decoding
from rim_runtime.engines.backend import Floats

LOGITS, STATES = "logits", "last_hidden_state"
EMBEDS = "inputs_embeds"


class KeyValues(Protocol):
    """The cache of one state."""

    def run(self, session: Any, feed: Mapping[str, Any], options: Any) -> tuple[Floats, Floats]:
        """Run a graph behind the cache, and add to it: logits [rows, 1, vocabulary], states [rows, 1, width]."""

    def repeat(self, rows: int, length: int) -> KeyValues:
        """Return a cache with copies of the only row, its first `length` tokens."""

    def trim(self, length: int) -> None:
        """Keep the first `length` tokens."""


def empty_cache(decoding: Decoding, capacity: int) -> KeyValues:
    """Return the cache of one row that has read nothing, as a bundle's decoders keep it."""
    if decoding.cache is Cache.BUFFER:
        return BufferCache(decoding, [_zeros(decoding, 1, capacity) for _ in cache_names(decoding)])
    return AppendedCache(decoding, [_zeros(decoding, 1, 0) for _ in cache_names(decoding)])


def cache_names(decoding: Decoding) -> list[tuple[str, str]]:
    """Return the names of each past input and its present output, in the graph's order."""
    parts = [f"{layer}.{part}" for layer in range(decoding.layers) for part in ("key", "value")]
    return [(f"past_key_values.{part}", f"present.{part}") for part in parts]


class BufferCache:
    """Keys and values in buffers of a fixed length, bound once."""

    def __init__(self, decoding: Decoding, buffers: Sequence[Floats]) -> None:
        """Take a buffer for each past input, float32 [rows, key_value_heads, capacity, head_size]."""
        self._decoding, self._buffers = decoding, buffers
        rows = len(buffers[0])
        self._logits = np.empty((rows, 1, decoding.vocabulary), np.float32)
        self._states = np.empty((rows, 1, decoding.width), np.float32)
        self._binding: Any = None

    def run(self, session: Any, feed: Mapping[str, Any], options: Any) -> tuple[Floats, Floats]:
        """Run a graph behind the cache, and write the new tokens into it."""
        binding = self._binding or self._bound(session)
        self._binding = None if EMBEDS in feed else binding  # what is bound once stays, and this input should not
        for name, value in feed.items():
            binding.bind_input(name, "cpu", 0, value.dtype.type, value.shape, value.ctypes.data)
        session.run_with_iobinding(binding, options)
        return self._logits.copy(), self._states.copy()

    def repeat(self, rows: int, length: int) -> BufferCache:
        """Return a cache with copies of the only row, its first `length` tokens."""
        copies = []
        for buffer in self._buffers:
            copy = _zeros(self._decoding, rows, buffer.shape[2])
            copy[:, :, :length] = buffer[:, :, :length]
            copies.append(copy)
        return BufferCache(self._decoding, copies)

    def trim(self, length: int) -> None:
        """Do nothing: what lies beyond the mask's length is not read."""

    def _bound(self, session: Any) -> Any:
        binding = session.io_binding()
        for (past, present), buffer in zip(cache_names(self._decoding), self._buffers, strict=True):
            place = ("cpu", 0, np.float32, buffer.shape, buffer.ctypes.data)
            binding.bind_input(past, *place)
            binding.bind_output(present, *place)
        for name, out in ((LOGITS, self._logits), (STATES, self._states)):
            binding.bind_output(name, "cpu", 0, np.float32, out.shape, out.ctypes.data)
        return binding


class AppendedCache:
    """Keys and values as the last run returned them."""

    def __init__(self, decoding: Decoding, values: Sequence[Floats]) -> None:
        """Take a value for each past input, float32 [rows, key_value_heads, past, head_size]."""
        self._decoding, self._values = decoding, values

    def run(self, session: Any, feed: Mapping[str, Any], options: Any) -> tuple[Floats, Floats]:
        """Run a graph behind the cache, and keep what it returns."""
        names = cache_names(self._decoding)
        past = {name: value for (name, _), value in zip(names, self._values, strict=True)}
        outputs = [LOGITS, STATES, *(present for _, present in names)]
        logits, states, *self._values = session.run(outputs, {**feed, **past}, options)
        return logits, states

    def repeat(self, rows: int, length: int) -> AppendedCache:
        """Return a cache with copies of the only row, its first `length` tokens."""
        return AppendedCache(self._decoding, [value[:, :, :length].repeat(rows, 0) for value in self._values])

    def trim(self, length: int) -> None:
        """Keep the first `length` tokens."""
        self._values = [np.ascontiguousarray(value[:, :, :length]) for value in self._values]


def _zeros(decoding: Decoding, rows: int, tokens: int) -> Floats:
    return np.zeros((rows, decoding.key_value_heads, tokens, decoding.head_size), np.float32)
