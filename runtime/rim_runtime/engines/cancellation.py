"""Giving up a load or a question from another thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from rim_runtime.errors import CancelledError, InputError


class Cancellation:
    """Whether someone gave up; give it to a load or to questions, and call `cancel` from any thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._cancelled = False
        self._stops: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled

    def cancel(self) -> None:
        """Give up: what was given this cancellation raises CancelledError soon; it cannot be taken back."""
        with self._lock:
            self._cancelled = True
            for stop in self._stops:
                stop()

    def check(self) -> None:
        """Raise CancelledError if `cancel` was called."""
        if self._cancelled:
            raise CancelledError

    @contextmanager
    def calling(self, stop: Callable[[], None]) -> Iterator[None]:
        """Call `stop` once if it is cancelled while the block lasts. Raises CancelledError if it was before."""
        try:
            with self._lock:
                self.check()
                self._stops.append(stop)
            yield
        finally:
            with self._lock:
                if stop in self._stops:
                    self._stops.remove(stop)


def when_cancelled(cancel: Cancellation | None, stop: Callable[[], None]) -> AbstractContextManager[None]:
    """Return `cancel.calling(stop)`; of None, a block that nothing stops."""
    return nullcontext() if cancel is None else cancel.calling(stop)


def require_cancellation(given: object) -> None:
    """Raise InputError for what is given as `cancel` and gives nothing up; None is right."""
    if given is not None and not isinstance(given, Cancellation):
        raise InputError(f"cancel is {given!r}, expected a Cancellation, or None.")


def check(cancel: Cancellation | None) -> None:
    """Raise CancelledError if this was cancelled; None never is."""
    if cancel is not None:
        cancel.check()
