"""One text that is awaited piece by piece while it is written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, TypeVar

from rim_runtime.engines.awaiting import in_thread
from rim_runtime.engines.cancellation import Cancellation, when_cancelled
from rim_runtime.generate.stream import TextStream

if TYPE_CHECKING:
    from rim_runtime.generate.text import Text

Result = TypeVar("Result")


class AsyncTextStream(AsyncIterator[str]):
    """A text while it is written: `async for` gives its pieces, as they come; `await result()` all of it.

    The engine works in a thread of the event loop's executor while the next piece is awaited. A task that is
    cancelled meanwhile gives the text up, and ends once the engine has stopped. One task at a time may read it.
    """

    def __init__(self, begin: Callable[[Cancellation], TextStream]) -> None:
        """Keep what begins the text; it is called when the first piece is awaited."""
        self._begin, self._cancel = begin, Cancellation()
        self._stream: TextStream | None = None

    def __aiter__(self) -> AsyncTextStream:
        return self

    async def __anext__(self) -> str:
        """Return the next characters, at least one.

        Raises what `Engine.generate` and its iteration raise, and the CancelledError of asyncio.
        """
        piece = await in_thread(lambda given_up: self._work(given_up, lambda stream: next(stream, None)))
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def result(self) -> Text:
        """Return the whole text; what is not written yet is written first. Raises what the iteration does."""
        return await in_thread(lambda given_up: self._work(given_up, TextStream.result))

    async def aclose(self) -> None:
        """Write no more, and free the memory of the text."""
        if self._stream is not None:
            self._stream.close()

    def _work(self, given_up: Cancellation, work: Callable[[TextStream], Result]) -> Result:
        with when_cancelled(given_up, self._cancel.cancel):
            if self._stream is None:
                self._stream = self._begin(self._cancel)
            return work(self._stream)
