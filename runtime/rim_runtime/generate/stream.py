"""One text that is read while it is written."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import numpy as np

from rim_runtime.errors import EngineFailedError

if TYPE_CHECKING:  # programs that ask for letters start faster without
    from rim_runtime.engines.cancellation import Cancellation
    from rim_runtime.generate.author import Author
    from rim_runtime.generate.order import Order
    from rim_runtime.generate.text import Text


class TextStream(Iterator[str]):
    """A text while it is written: iterate over its pieces, as they come; `result` has all of it.

    The engine works while the next piece is asked for, and not in between. After an error there are no more
    pieces. One thread at a time may read it.
    """

    def __init__(self, author: Author, order: Order, cancel: Cancellation | None) -> None:
        self._author, self._order, self._cancel = author, order, cancel
        self._writing = author.begin(order)
        self._first_s = self._total_s = order.prepared_s
        self._pieces = self._write()

    def __iter__(self) -> TextStream:
        return self

    def __next__(self) -> str:
        """Return the next characters, at least one.

        Raises EngineFailedError, EngineClosedError and CancelledError.
        """
        return next(self._pieces)

    def result(self) -> Text:
        """Return the whole text; what is not written yet is written first. Raises what the iteration does.

        A stream that was closed, or that failed, before the text's end has none: EngineFailedError.
        """
        for _ in self._pieces:
            pass
        if self._writing.ended is None:
            raise EngineFailedError("This text was given up before its end, so there is no result. Ask again.")
        return self._author.text(self._writing, self._order, self._first_s, self._total_s)

    def close(self) -> None:
        """Write no more, and free the memory of the text."""
        self._pieces.close()

    def _write(self) -> Generator[str]:
        author, order, writing = self._author, self._order, self._writing
        start = time.perf_counter()
        state, step = author.read(order, self._cancel)
        piece = author.take(writing, step.logits[0])
        self._total_s += time.perf_counter() - start
        self._first_s = self._total_s
        while True:
            if piece:
                yield piece
            if writing.ended is not None:
                return
            start = time.perf_counter()
            with author.run():
                step = author.decoder.step(state, np.array(writing.tokens[-1:], np.int64), cancel=self._cancel)
            piece = author.take(writing, step.logits[0])
            self._total_s += time.perf_counter() - start
