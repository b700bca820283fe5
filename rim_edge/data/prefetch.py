"""A value that is made ahead: in a background thread, while the caller computes."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from enum import Enum, auto
from threading import Event
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")
Pieces = Generator[None, None, T]
"""Makes a value; yields between pieces of the work, where it can wait."""
THREAD = "prefetch"
"""What the thread's name begins with."""


class Works(Enum):
    """When the thread works. Python runs one thread at a time: what it does, the caller cannot do meanwhile."""

    THROUGHOUT = auto()
    """All the time: for a caller whose time is spent in arithmetic that needs no Python."""
    WHILE_WAITING = auto()
    """While the caller says that it waits: it is never late with the next piece of a GPU's work."""


class Prefetcher(Generic[T]):
    """Makes one value at a time in one thread, which begins with the first value and ends with this context."""

    def __init__(self, works: Works) -> None:
        self._works = works
        self._thread = ThreadPoolExecutor(1, THREAD)
        self._may_work = Event()
        self._made: Future[T] | None = None

    def __enter__(self) -> Prefetcher[T]:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the thread, after the value that it makes."""
        self._may_work.set()
        self._thread.shutdown()

    @contextmanager
    def making(self, pieces: Pieces[T] | None) -> Iterator[None]:
        """Make a value while the block runs, and wait for it at the block's end; None: there is none to make.

        So nothing of the caller outside the block happens at the same time: it may use what the pieces use.
        """
        if pieces is None:
            yield
            return
        if self._works is Works.THROUGHOUT:
            self._may_work.set()
        self._made = self._thread.submit(self._make, pieces)
        try:
            yield
        finally:
            self._may_work.set()
            wait((self._made,))
            self._may_work.clear()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Let the thread work while the block runs, in which the caller waits for something else than Python."""
        if self._works is Works.THROUGHOUT:
            yield
            return
        self._may_work.set()
        try:
            yield
        finally:
            self._may_work.clear()

    def take(self) -> T | None:
        """Return the value that was made last, once; None where there is none. Raises what making it raised."""
        made, self._made = self._made, None
        return None if made is None else made.result()

    def _make(self, pieces: Pieces[T]) -> T:
        while True:
            self._may_work.wait()
            try:
                next(pieces)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
