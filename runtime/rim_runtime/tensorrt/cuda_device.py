"""The device of the `trt` engine: CUDA through cuda-python, plans through TensorRT. Not yet run on a GPU."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from rim_runtime.errors import StorageError
from rim_runtime.libraries.cuda import import_cuda_runtime
from rim_runtime.libraries.tensorrt import TensorRt
from rim_runtime.machine.storage import write_bytes
from rim_runtime.tensorrt.build import error_collector
from rim_runtime.tensorrt.device import Buffer, DeviceError, Tensor

TYPES = {"INT64": "int64", "FLOAT": "float32"}
"""TensorRT's names for the types we use."""


class CudaDevice:
    """The first GPU that CUDA shows. Not thread-safe: its backend holds a lock."""

    def __init__(self, library: TensorRt, kernels: Path | None = None) -> None:
        """Open the GPU; `kernels` is the file for the kernels that TensorRT-RTX compiles for it.

        Raises DeviceError, and what importing cuda-python raises.
        """
        self._library, self._kernels = library, kernels
        self._cuda = import_cuda_runtime()
        self._ask(self._cuda.cudaSetDevice, 0)
        self._stream = self._ask(self._cuda.cudaStreamCreateWithFlags, self._cuda.cudaStreamNonBlocking)
        self._engine: Any = None
        self._runtime: Any = None
        self._settings: Any = None
        self._compiled: Any = None
        self._contexts: dict[int, Any] = {}
        self._recorded: dict[int, list[Any]] = {}
        self._buffers: set[Buffer] = set()
        self._said = error_collector(library.module)

    def load(self, plan: bytes) -> Mapping[str, Tensor]:
        """Deserialize a plan; host code in plans is not allowed."""
        self._runtime = self._library.module.Runtime(self._said)
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise DeviceError(self._said.text or "it cannot be deserialized")
        self._settings = self._context_settings()
        engine = self._engine
        names = [engine.get_tensor_name(number) for number in range(engine.num_io_tensors)]
        return {name: self._describe(name) for name in names}

    def context(self, profile: int) -> int:
        """Create a context and set its profile."""
        self._use()
        given = () if self._settings is None else (self._settings,)
        context = self._engine.create_execution_context(*given)
        if context is None or not context.set_optimization_profile_async(profile, int(self._stream)):
            raise DeviceError(self._said.text or f"no context on profile {profile}")
        self.synchronize()
        handle = max(self._contexts, default=0) + 1
        self._contexts[handle], self._recorded[handle] = context, []
        return handle

    def buffer(self, shape: Sequence[int], dtype: type[np.generic]) -> Buffer:
        """Allocate on the host and on the device."""
        self._use()
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        address = int(self._ask(self._cuda.cudaHostAlloc, size, self._cuda.cudaHostAllocDefault))
        memory = memoryview((ctypes.c_byte * size).from_address(address))
        host = np.frombuffer(memory, dtype).reshape(tuple(shape))
        buffer = Buffer(host, int(self._ask(self._cuda.cudaMalloc, size)))
        self._buffers.add(buffer)
        return buffer

    def upload(self, buffer: Buffer) -> None:
        """Enqueue the copy to the device."""
        self._use()
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        host = buffer.host.ctypes.data
        self._ask(self._cuda.cudaMemcpyAsync, buffer.pointer, host, buffer.host.nbytes, kind, self._stream)

    def enqueue(self, context: int, tensors: Mapping[str, Buffer]) -> None:
        """Enqueue the plan."""
        self._use()
        one = self._contexts[context]
        is_input = self._library.module.TensorIOMode.INPUT
        for name, buffer in tensors.items():
            if self._engine.get_tensor_mode(name) == is_input:
                self._must(one.set_input_shape(name, buffer.host.shape), f"shape {buffer.host.shape} of {name}")
            self._must(one.set_tensor_address(name, buffer.pointer), f"address of {name}")
        self._must(one.execute_async_v3(int(self._stream)), "execution")

    def download(self, buffer: Buffer) -> None:
        """Enqueue the copy from the device."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        host = buffer.host.ctypes.data
        self._ask(self._cuda.cudaMemcpyAsync, host, buffer.pointer, buffer.host.nbytes, kind, self._stream)

    def record(self, context: int, work: Callable[[], None]) -> Callable[[], None]:
        """Capture the work as a CUDA graph; thread-local, so that other users of CUDA are not disturbed."""
        cuda, capturable = self._cuda, getattr(self._contexts[context], "is_stream_capturable", None)
        if capturable and not capturable(int(self._stream)):
            return work
        self._ask(
            cuda.cudaStreamBeginCapture, self._stream, cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        )
        try:
            work()
        except DeviceError:
            cuda.cudaStreamEndCapture(self._stream)  # the capture failed, but must still be ended
            return work
        error, graph = cuda.cudaStreamEndCapture(self._stream)
        if int(error):
            return work
        launchable = self._ask(cuda.cudaGraphInstantiate, graph, 0)
        self._ask(cuda.cudaGraphDestroy, graph)
        self._recorded[context].append(launchable)
        return lambda: self._launch(launchable)

    def synchronize(self) -> None:
        """Wait for the stream."""
        self._use()
        self._ask(self._cuda.cudaStreamSynchronize, self._stream)

    def release(self, context: int, tensors: Sequence[Buffer]) -> None:
        """Free what belongs to one context."""
        self._use()
        self.synchronize()
        for launchable in self._recorded.pop(context):
            self._ask(self._cuda.cudaGraphExecDestroy, launchable)
        del self._contexts[context]
        for buffer in tensors:
            self._free(buffer)

    def close(self) -> None:
        """Free everything, contexts before the engine; a device that failed may refuse some of it."""
        if self._stream is None:
            return
        with suppress(DeviceError):
            self.synchronize()
            self._keep_kernels()
        for context in list(self._contexts):
            with suppress(DeviceError):
                self.release(context, ())
        for buffer in list(self._buffers):
            with suppress(DeviceError):
                self._free(buffer)
        self._contexts.clear()
        self._compiled = self._settings = self._engine = self._runtime = None
        with suppress(DeviceError):
            self._ask(self._cuda.cudaStreamDestroy, self._stream)
        self._stream = None

    def _launch(self, launchable: Any) -> None:
        self._use()
        self._ask(self._cuda.cudaGraphLaunch, launchable, self._stream)

    def _use(self) -> None:
        """Make the device current in the calling thread."""
        self._ask(self._cuda.cudaSetDevice, 0)

    def _free(self, buffer: Buffer) -> None:
        self._buffers.discard(buffer)
        self._ask(self._cuda.cudaFree, buffer.pointer)
        self._ask(self._cuda.cudaFreeHost, buffer.host.ctypes.data)

    def _describe(self, name: str) -> Tensor:
        engine, library = self._engine, self._library.module
        kind = engine.get_tensor_dtype(name).name
        is_input = engine.get_tensor_mode(name) == library.TensorIOMode.INPUT
        return Tensor(TYPES.get(kind, kind), tuple(engine.get_tensor_shape(name)), is_input)

    def _context_settings(self) -> Any:
        """Let TensorRT-RTX compile a shape's kernels at once: a recording would keep its first, generic ones."""
        strategies = getattr(self._library.module, "DynamicShapesKernelSpecializationStrategy", None)
        if strategies is None:
            return None
        settings = self._engine.create_runtime_config()
        settings.dynamic_shapes_kernel_specialization_strategy = strategies.EAGER
        if self._kernels is not None:
            self._compiled = settings.create_runtime_cache()
            if self._kernels.is_file():
                self._compiled.deserialize(self._kernels.read_bytes())
            settings.set_runtime_cache(self._compiled)
        return settings

    def _keep_kernels(self) -> None:
        if self._compiled is not None and self._kernels is not None:
            with suppress(StorageError):  # they will be compiled again
                write_bytes(self._kernels, bytes(memoryview(self._compiled.serialize())))

    def _must(self, good: bool, what: str) -> None:
        if not good:
            raise DeviceError(self._said.text or f"{what} refused")

    def _ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call CUDA and return its results without the error code."""
        error, *given = function(*arguments)
        if int(error):
            _, text = self._cuda.cudaGetErrorString(error)
            raise DeviceError(f"{function.__name__}: {text.decode(errors='replace')}")
        return given[0] if given else None
