"""All that the `trt` engine asks of a GPU: ten functions, so that a stand-in can check every call.

Order: `load` first; a context's buffers are made before anything is copied; inputs are uploaded before `enqueue`,
outputs downloaded after it; nothing that was downloaded is read before `synchronize`; nothing follows `close`.
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
    """The device or its library refused; the text is theirs. Engines turn it into an error of ours."""


@dataclass(frozen=True)
class Tensor:
    """An input or output of a plan."""

    dtype: str
    """`int64`, `float32`, or the library's own word for another type."""
    shape: tuple[int, ...]
    """-1 where it may vary."""
    is_input: bool
    """Whether it is an input."""


@dataclass(frozen=True, eq=False)
class Buffer:
    """Memory on both sides of the bus, of one shape and type."""

    host: Array
    """Page-locked memory of this process."""
    pointer: int
    """The device's."""


class Device(Protocol):
    """One GPU with one loaded plan and one stream. Every function may raise DeviceError."""

    def load(self, plan: bytes) -> Mapping[str, Tensor]:
        """Deserialize a plan, which runs code: check it first. Return its inputs and outputs by name."""

    def context(self, profile: int) -> int:
        """Make an execution context on one of the plan's optimization profiles; return its handle."""

    def buffer(self, shape: Sequence[int], dtype: type[np.generic]) -> Buffer:
        """Allocate."""

    def upload(self, buffer: Buffer) -> None:
        """Copy a buffer to the device, when its turn comes."""

    def enqueue(self, context: int, tensors: Mapping[str, Buffer]) -> None:
        """Run the plan on these tensors, when its turn comes; inputs have their buffers' shapes."""

    def download(self, buffer: Buffer) -> None:
        """Copy a buffer from the device, when its turn comes."""

    def record(self, context: int, work: Callable[[], None]) -> Callable[[], None]:
        """Return a function that does again, in one launch, what `work` enqueues on this context.

        `work` must have run before, on the same buffers. It is returned itself where it cannot be recorded.
        """

    def synchronize(self) -> None:
        """Wait until everything that was enqueued is done."""

    def release(self, context: int, tensors: Sequence[Buffer]) -> None:
        """Free a context, what was recorded on it, and its buffers."""

    def close(self) -> None:
        """Wait, then free everything; a second time does nothing."""
