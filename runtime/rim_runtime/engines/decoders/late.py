"""A decoder that is opened when it is first needed, and closed with the engine that it belongs to."""

from __future__ import annotations

import threading
from collections.abc import Callable

from rim_runtime.engines.backend import Backend
from rim_runtime.engines.cancellation import Cancellation
from rim_runtime.engines.decoders.decoder import Decoder


class LateDecoder:
    """An engine's decoder, opened or not."""

    def __init__(self, backend: Backend, opening: Callable[[Cancellation | None], Decoder]) -> None:
        """Keep a backend, and what opens the decoder that belongs to it."""
        self._backend, self._opening = backend, opening
        self._lock = threading.Lock()
        self._decoder: Decoder | None = None

    def get(self, cancel: Cancellation | None) -> Decoder:
        """Return the decoder; the first call opens it. Raises what `opening` does; the next call tries again."""
        with self._lock:
            if self._decoder is None:
                self._decoder = self._opening(cancel)
            return self._decoder

    def close(self) -> None:
        """Close the engine, and the decoder if there is one."""
        self._backend.close()
        if self._decoder is not None:
            self._decoder.close()
