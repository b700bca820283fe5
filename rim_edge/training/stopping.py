"""Stopping a run between two optimizer steps, so that its state is saved; by Ctrl-C or SIGTERM, for instance."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """A request to stop. While a run trains it is entered as a context; here that does nothing."""

    def __init__(self) -> None:
        self.is_made = False
        """Whether the run is to stop after its step."""

    def make(self) -> None:
        """Make the request."""
        self.is_made = True

    def __enter__(self) -> StopRequest:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing."""


class StopSignals(StopRequest):
    """A request that Ctrl-C and SIGTERM make while a run trains; a second signal acts as it did before."""

    def __init__(self, told: Callable[[], None]) -> None:
        """`told` is called when the first signal comes, in the signal's handler."""
        super().__init__()
        self.number: int | None = None
        """The signal that made it."""
        self._told = told
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        """Begin to listen; only the main thread can."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._heard) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the signals act as before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.number = number
        self.__exit__(None, None, None)
        self.make()
        self._told()
