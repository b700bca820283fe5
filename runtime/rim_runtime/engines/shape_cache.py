"""What a GPU engine keeps for each padded shape: a context, buffers, a recording. The oldest makes room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from rim_runtime.engines.shapes import Shape

Kept = TypeVar("Kept")
Result = TypeVar("Result")


class ShapeCache(Generic[Kept]):
    """What is kept for each shape, used by one thread."""

    def __init__(
        self,
        most: int,
        make: Callable[[Shape], Kept],
        release: Callable[[Kept], None],
        needs_room: Callable[[Exception], bool],
    ) -> None:
        """Keep at most `most` shapes. `make` leaves nothing behind where it fails; `release` does not raise.

        `needs_room` says whether an error may go away with another shape's memory.
        """
        self._most, self._make, self._release, self._needs_room = most, make, release, needs_room
        self._kept: OrderedDict[Shape, Kept] = OrderedDict()

    def __contains__(self, shape: Shape) -> bool:
        return shape in self._kept

    def use(self, shape: Shape, work: Callable[[Kept], Result]) -> Result:
        """Do the work with what is kept for a shape, which is made if need be.

        Where memory does not suffice, the shapes that were not used for longest go, one by one, until it does.
        What failed is not kept. Raises what `make` and `work` raise.
        """
        while True:
            try:
                return work(self._get(shape))
            except Exception as error:
                self._drop(shape)
                if not (self._kept and self._needs_room(error)):
                    raise
            self._drop(next(iter(self._kept)))

    def clear(self) -> None:
        """Release everything."""
        for shape in list(self._kept):
            self._drop(shape)

    def _get(self, shape: Shape) -> Kept:
        if shape not in self._kept:
            while len(self._kept) >= self._most:
                self._drop(next(iter(self._kept)))
            self._kept[shape] = self._make(shape)
        self._kept.move_to_end(shape)
        return self._kept[shape]

    def _drop(self, shape: Shape) -> None:
        kept = self._kept.pop(shape, None)
        if kept is not None:
            self._release(kept)
