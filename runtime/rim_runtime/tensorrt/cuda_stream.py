"""CUDA, as far as the `trt` engine needs it: one stream of the first GPU, memory, copies and recordings.

CUDA's current device belongs to a thread: the thread that opens a stream makes all its calls. All work goes to the
stream, so it takes effect in the order of the calls; nothing that was downloaded is read before `synchronize`.
Written to the API; not yet run on a GPU.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rim_runtime.libraries.cuda import LOST, OUT_OF_MEMORY, import_cuda_runtime

Array = NDArray[Any]


class DeviceError(Exception):
    """The GPU or one of its libraries refused; the text is theirs. Engines turn it into a RimError."""


class DeviceFullError(DeviceError):
    """The memory of the GPU, or page-locked memory, does not suffice."""


class DeviceLostError(DeviceError):
    """The GPU failed in a way after which CUDA refuses every call of this process."""


@dataclass(frozen=True, eq=False)
class Buffer:
    """Memory of one shape and type, on the host and on the device."""

    host: Array
    """Page-locked memory of this process."""
    pointer: int
    """Address of the device's memory."""


@dataclass(frozen=True, eq=False)
class Recording:
    """Work that takes one launch."""

    launchable: Any
    """CUDA's executable graph."""


class CudaStream:
    """One stream of the first GPU that CUDA shows, and what was allocated. Every call may raise DeviceError."""

    def __init__(self) -> None:
        """Take the GPU in this thread. Also raises what importing cuda-python raises."""
        self._cuda = import_cuda_runtime()
        self._buffers: set[Buffer] = set()
        self._blocks: set[int] = set()
        self._recordings: set[Recording] = set()
        self._ask(self._cuda.cudaSetDevice, 0)
        self._stream = self._ask(self._cuda.cudaStreamCreateWithFlags, self._cuda.cudaStreamNonBlocking)
        self.handle = int(self._stream)

    def block(self, size: int) -> int:
        """Allocate memory on the device alone, of at least one byte; return its address."""
        pointer = int(self._ask(self._cuda.cudaMalloc, max(size, 1)))
        self._blocks.add(pointer)
        return pointer

    def buffer(self, shape: Sequence[int], dtype: type[np.generic]) -> Buffer:
        """Allocate on the host and on the device, or neither."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        address = int(self._ask(self._cuda.cudaHostAlloc, size, self._cuda.cudaHostAllocDefault))
        try:
            pointer = int(self._ask(self._cuda.cudaMalloc, size))
        except DeviceError:
            self._cuda.cudaFreeHost(address)
            raise
        memory = memoryview((ctypes.c_byte * size).from_address(address))
        buffer = Buffer(np.frombuffer(memory, dtype).reshape(tuple(shape)), pointer)
        self._buffers.add(buffer)
        return buffer

    def upload(self, buffer: Buffer) -> None:
        """Enqueue the copy to the device."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        host = buffer.host.ctypes.data
        self._ask(self._cuda.cudaMemcpyAsync, buffer.pointer, host, buffer.host.nbytes, kind, self._stream)

    def download(self, buffer: Buffer) -> None:
        """Enqueue the copy from the device."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        host = buffer.host.ctypes.data
        self._ask(self._cuda.cudaMemcpyAsync, host, buffer.pointer, buffer.host.nbytes, kind, self._stream)

    def synchronize(self) -> None:
        """Wait for the stream."""
        self._ask(self._cuda.cudaStreamSynchronize, self._stream)

    def record(self, work: Callable[[], None]) -> Recording | None:
        """Record what `work` enqueues, without running it; None if that cannot be recorded.

        Captured for this thread alone, so that other users of CUDA in the process are not disturbed. The capture
        is ended whatever happens: a stream that still captures would refuse all later work.
        """
        cuda = self._cuda
        try:
            mode = cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
            self._ask(cuda.cudaStreamBeginCapture, self._stream, mode)
            try:
                work()
            except BaseException:
                self._destroy_graph(self._end_capture())
                raise
            graph = self._end_capture()
            if graph is None:
                return None
            try:
                recording = Recording(self._ask(cuda.cudaGraphInstantiate, graph, 0))
            finally:
                self._destroy_graph(graph)
        except DeviceError:
            return None
        self._recordings.add(recording)
        return recording

    def launch(self, recording: Recording) -> None:
        """Enqueue recorded work."""
        self._ask(self._cuda.cudaGraphLaunch, recording.launchable, self._stream)

    def forget(self, recording: Recording) -> None:
        """Free a recording."""
        self._recordings.discard(recording)
        self._ask(self._cuda.cudaGraphExecDestroy, recording.launchable)

    def free(self, buffer: Buffer) -> None:
        """Free a buffer on both sides, even if one side refuses."""
        self._buffers.discard(buffer)
        try:
            self._ask(self._cuda.cudaFree, buffer.pointer)
        finally:
            self._ask(self._cuda.cudaFreeHost, buffer.host.ctypes.data)

    def require_alive(self) -> None:
        """Raise DeviceLostError if the GPU failed: libraries do not pass CUDA's error codes on."""
        code = self._cuda.cudaStreamQuery(self._stream)[0]
        self._cuda.cudaGetLastError()
        if int(code) in LOST:
            raise DeviceLostError(self._text(code))

    def close(self) -> None:
        """Free everything that is left; a device that failed may refuse some of it. A second time does nothing."""
        if self._stream is None:
            return
        with suppress(DeviceError):
            self.synchronize()
        for recording in list(self._recordings):
            with suppress(DeviceError):
                self.forget(recording)
        for buffer in list(self._buffers):
            with suppress(DeviceError):
                self.free(buffer)
        for pointer in self._blocks:
            with suppress(DeviceError):
                self._ask(self._cuda.cudaFree, pointer)
        self._blocks.clear()
        with suppress(DeviceError):
            self._ask(self._cuda.cudaStreamDestroy, self._stream)
        self._stream = None

    def _end_capture(self) -> Any:
        """End the capture; return its graph, or None where CUDA gives none."""
        try:
            return self._ask(self._cuda.cudaStreamEndCapture, self._stream)
        except DeviceError:
            return None

    def _destroy_graph(self, graph: Any) -> None:
        if graph is not None:
            with suppress(DeviceError):
                self._ask(self._cuda.cudaGraphDestroy, graph)

    def _ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call CUDA and return its result without the error code."""
        try:
            code, *given = function(*arguments)
        except Exception as error:  # the binding's own: a wrong type, a function that the driver lacks
            raise DeviceError(f"{function.__name__}: {error}") from error
        if not int(code):
            return given[0] if given else None
        self._cuda.cudaGetLastError()  # else the next library that looks takes this error for its own
        raise _kind(int(code))(f"{function.__name__}: {self._text(code)}")

    def _text(self, code: Any) -> str:
        try:
            _, text = self._cuda.cudaGetErrorString(code)
            return str(text.decode(errors="replace"))
        except Exception:  # noqa: BLE001 (a text is not worth an error)
            return f"CUDA's error {int(code)}"


def _kind(code: int) -> type[DeviceError]:
    if code in LOST:
        return DeviceLostError
    return DeviceFullError if code == OUT_OF_MEMORY else DeviceError
