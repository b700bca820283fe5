"""What TensorRT says when it refuses: its first error, which is the cause; those that follow are consequences.

TensorRT keeps the first logger that it is given for the whole process and complains of any other, so there is one
for each library, which lives as long as the process.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_LONGEST = 300


class Heard:
    """The errors of one call."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    @property
    def first(self) -> str:
        """The first error in one line; empty if there was none."""
        return self.errors[0] if self.errors else ""


@functools.cache
def process_logger(module: Any) -> Any:
    """Return the one logger of this process for a TensorRT module; it prints nothing."""

    class Logger(module.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            module.ILogger.__init__(self)
            self.lock = threading.Lock()
            self.listeners: dict[int, Heard] = {}

        def log(self, severity: Any, text: str) -> None:
            """Give an error to the thread that called TensorRT; to all where TensorRT's own thread says it."""
            if severity not in (module.ILogger.ERROR, module.ILogger.INTERNAL_ERROR):
                return
            line = text.strip().split("\n", 1)[0][:_LONGEST]
            with self.lock:
                own = self.listeners.get(threading.get_ident())
                for heard in self.listeners.values() if own is None else (own,):
                    heard.errors.append(line)

    return Logger()


@contextmanager
def heard_errors(module: Any) -> Iterator[Heard]:
    """Collect what TensorRT reports in this block to this thread."""
    logger, thread, heard = process_logger(module), threading.get_ident(), Heard()
    with logger.lock:
        before = logger.listeners.get(thread)
        logger.listeners[thread] = heard
    try:
        yield heard
    finally:
        with logger.lock:
            logger.listeners.pop(thread)
            if before is not None:
                logger.listeners[thread] = before
