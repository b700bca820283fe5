"""What is opened when it is first needed, beside an engine, and closed with it: a decoder, a trace."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from rim_runtime.engines.cancellation import Cancellation
from rim_runtime.engines.lifetime import Closable

Opened = TypeVar("Opened", bound=Closable)


class Late(Generic[Opened]):
    """Something of an engine's, opened or not."""

    def __init__(self, owner: Closable, opening: Callable[[Cancellation | None], Opened]) -> None:
        """Keep what it is closed with, and what opens it."""
        self._owner, self._opening = owner, opening
        self._lock = threading.Lock()
        self._opened: Opened | None = None

    def get(self, cancel: Cancellation | None) -> Opened:
        """Return it; the first call opens it. Raises what `opening` does; the next call tries again."""
        with self._lock:
            if self._opened is None:
                self._opened = self._opening(cancel)
            return self._opened

    def close(self) -> None:
        """Close the engine, and this if it was opened."""
        self._owner.close()
        if self._opened is not None:
            self._opened.close()
