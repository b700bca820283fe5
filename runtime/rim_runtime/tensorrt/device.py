"""All that the `trt` engine needs of a GPU: ten functions, so that a test double can check every call.

Order: `load` first; a context's buffers are made before anything is copied; inputs are uploaded before `enqueue`,
outputs downloaded after it; no downloaded data is read before `synchronize`; nothing is called after `close`.
All work goes to one stream, so calls take effect in the order in which they were made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class DeviceError(Exception):
    """The device or its library refused; the text is theirs. Engines turn it into a RimError."""


@dataclass(frozen=True)
class Tensor:
    """An input or output of a plan."""

    dtype: str
    """`int64`, `float32`, or the library's own name for another type."""
    shape: tuple[int, ...]
    """Its shape; -1 for a dimension that may vary."""
    is_input: bool
    """Whether it is an input."""


@dataclass(frozen=True, eq=False)
class Buffer:
    """Memory of one shape and type, on the host and on the device."""

    host: Array
    """Page-locked memory of this process."""
    pointer: int
    """Address of the device's memory."""


class Device(Protocol):
    """One GPU with one loaded plan and one stream. Every function may raise DeviceError."""

    def load(self, plan: bytes) -> Mapping[str, Tensor]:
        """Deserialize a plan, which runs code: check it first. Return its inputs and outputs by name."""

    def context(self, profile: int) -> int:
        """Create an execution context for one of the plan's optimization profiles; return its handle."""

    def buffer(self, shape: Sequence[int], dtype: type[np.generic]) -> Buffer:
        """Allocate a buffer on the host and on the device."""

    def upload(self, buffer: Buffer) -> None:
        """Enqueue the copy of a buffer to the device."""

    def enqueue(self, context: int, tensors: Mapping[str, Buffer]) -> None:
        """Enqueue the plan on these tensors; inputs have their buffers' shapes."""

    def download(self, buffer: Buffer) -> None:
        """Enqueue the copy of a buffer from the device."""

    def record(self, context: int, work: Callable[[], None]) -> Callable[[], None]:
        """Return a function that repeats, in one launch, what `work` enqueues on this context.

        `work` must have run before, on the same buffers. If it cannot be recorded, `work` itself is returned.
        """

    def synchronize(self) -> None:
        """Wait until all enqueued work is done."""

    def release(self, context: int, tensors: Sequence[Buffer]) -> None:
        """Free a context, what was recorded on it, and its buffers."""

    def close(self) -> None:
        """Wait, then free everything; a second time does nothing."""
