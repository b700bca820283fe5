"""From an engine's opening to its closing: it is freed after the last run, at exit as well, and never in a fork.

Native threads of an engine are neither stopped half-way nor joined where they do not exist: a process that ended
while a daemon thread asked was aborted, and a forked one that ended waited for ever.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rim_runtime.errors import EngineClosedError, EngineFailedError

_WAKE_S = 0.1
"""How often who waits looks by itself: an interrupt may fall between a run's end and its notice."""


class Closable(Protocol):
    """What a lifetime ends: an engine, or several that are closed together."""

    def close(self) -> None:
        """Free what it holds."""


class Lifetime:
    """Counts the runs of one engine. `backend` None: of work that has no engine yet, such as loading one."""

    def __init__(self, backend: Closable | None) -> None:
        self._backend = backend
        self._changed = threading.Condition()
        self._runs: dict[object, int] = {}  # each run under way, and its thread
        self._closed = self._quitting = self._freed = self._orphaned = False
        _known.add(self)
        atexit.unregister(_quit)  # what is registered last runs first: before the libraries' own ends
        atexit.register(_quit)

    @property
    def closed(self) -> bool:
        """Whether new runs are refused."""
        return self._closed

    @contextmanager
    def run(self) -> Iterator[None]:
        """Count a run while the block lasts; inside a run, further ones of the same thread are its parts.

        Raises EngineClosedError, and EngineFailedError in a process that was forked while others were asking.
        """
        run = object()
        try:
            self._start(run)
            yield
        finally:
            self._runs.pop(run, None)
            with self._changed:
                self._changed.notify_all()
            if self._closed:
                self._free_after_the_last()

    def close(self) -> None:
        """Refuse new runs, wait for those of other threads, and free the engine after the last.

        Inside a run (from a signal's handler) it returns at once, and the run's end frees the engine.
        """
        self._closed = True
        with self._changed:
            while any(thread != threading.get_ident() for thread in list(self._runs.values())):
                self._changed.wait(_WAKE_S)
        self._free_after_the_last()

    def refuse_for_exit(self) -> None:
        """Refuse new runs and new parts of runs, because the interpreter quits."""
        self._closed = self._quitting = True

    def follow_into_fork(self) -> None:
        """Forget other threads, which did not follow, and never free the engine: that would wait for them."""
        busy, self._runs, self._changed = bool(self._runs), {}, threading.Condition()
        if self._backend is not None and not self._freed:
            self._orphaned, self._freed = busy, True
            _keep_for_ever(self._backend)

    def _start(self, run: object) -> None:
        thread = threading.get_ident()
        with self._changed:
            part = thread in self._runs.values()
            if self._closed and (self._quitting or not part):
                self._refuse()
            if self._orphaned:
                raise EngineFailedError(
                    "This engine was answering while this process was forked, and may be half changed. Load "
                    "ort-cpu in the new process, or start it by 'spawn' and load any engine there."
                )
            self._runs[run] = thread

    def _refuse(self) -> None:
        thread = threading.current_thread()
        if self._quitting and thread.daemon and not isinstance(thread, threading._DummyThread):
            raise SystemExit  # ends this thread in silence, as Python does with daemon threads a moment later
        raise EngineClosedError

    def _free_after_the_last(self) -> None:
        with self._changed:
            if self._runs or self._freed:
                return
            self._freed = True
            if self._backend is not None:
                self._backend.close()


_known: weakref.WeakSet[Lifetime] = weakref.WeakSet()


def _quit() -> None:
    """End all engines before the interpreter ends: daemon threads would be cut off inside native code."""
    found = list(_known)
    for lifetime in found:
        lifetime.refuse_for_exit()
    for lifetime in found:
        lifetime.close()


def _after_fork() -> None:
    for lifetime in list(_known):
        lifetime.follow_into_fork()


def _keep_for_ever(value: object) -> None:
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)

LOADS = Lifetime(None)
"""The loads under way."""
