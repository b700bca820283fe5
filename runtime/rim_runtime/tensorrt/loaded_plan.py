"""A TensorRT plan on a CUDA stream. Written to the API; not yet run on a GPU.

Every padded shape has an execution context of its own, and all contexts compute in one scratch memory: they run
one after the other on one stream, and nothing stays there between two launches. Left to itself, TensorRT gives
each context a scratch memory as large as the largest profile needs: at Qwen3-1.7B's geometry 408 MB in fp8.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rim_runtime.libraries.tensorrt import TensorRt
from rim_runtime.machine.storage import write_bytes
from rim_runtime.tensorrt.cuda_stream import Buffer, CudaStream, DeviceError, DeviceFullError
from rim_runtime.tensorrt.messages import Heard, heard_errors, process_logger
from rim_runtime.tensorrt.plan_cache import PlanBytes

FULL = "out of memory"
"""What an error of TensorRT contains where memory did not suffice; it passes no code on."""
TYPES = {"INT64": "int64", "FLOAT": "float32"}
"""TensorRT's names for the types we use."""


@dataclass(frozen=True)
class Tensor:
    """An input or output of a plan."""

    dtype: str
    """`int64`, `float32`, or the library's own name for another type."""
    shape: tuple[int, ...]
    """Its shape; -1 for a dimension that may vary."""
    is_input: bool
    """Whether it is an input."""


class LoadedPlan:
    """A plan, its scratch memory and the kernels compiled from it. Every call may raise DeviceError."""

    def __init__(self, library: TensorRt, stream: CudaStream, content: PlanBytes, kernels: Path | None) -> None:
        """Deserialize a plan, which runs code: check it first. Host code in plans is not allowed.

        `kernels` is the file for what TensorRT-RTX compiles for this GPU; None: nothing is kept.
        """
        self._module, self._stream, self._kernels = library.module, stream, kernels
        self._compiled: Any = None
        self._saved = b""
        with self._asking():
            self._runtime = self._module.Runtime(process_logger(self._module))
            self._engine = self._runtime.deserialize_cuda_engine(content)
            _require(self._engine is not None, "it cannot be deserialized")
            self._scratch_bytes = int(self._engine.device_memory_size_v2)
            self._settings = self._context_settings()
            names = [self._engine.get_tensor_name(number) for number in range(self._engine.num_io_tensors)]
            self.tensors: Mapping[str, Tensor] = {name: self._describe(name) for name in names}
        self._scratch = stream.block(self._scratch_bytes)

    def context(self, profile: int, tensors: Mapping[str, Buffer]) -> Any:
        """Create a context of one optimization profile; its tensors are bound for good."""
        with self._asking() as heard:
            context = self._engine.create_execution_context(self._settings)
            if context is None:
                self._stream.require_alive()
                raise DeviceFullError(heard.first or f"no context of profile {profile}")
            context.set_device_memory(self._scratch, self._scratch_bytes)
            _require(context.set_optimization_profile_async(profile, self._stream.handle), f"profile {profile}")
            self._stream.synchronize()
            for name, buffer in tensors.items():
                if self.tensors[name].is_input:
                    _require(
                        context.set_input_shape(name, buffer.host.shape), f"shape {buffer.host.shape} of {name}"
                    )
                _require(context.set_tensor_address(name, buffer.pointer), f"address of {name}")
            missing = context.infer_shapes()
            _require(not missing, f"no shape of {', '.join(missing)}")
        return context

    def enqueue(self, context: Any) -> None:
        """Enqueue the plan on a context's tensors."""
        with self._asking():
            _require(context.execute_async_v3(self._stream.handle), "execution refused")

    def can_be_recorded(self, context: Any) -> bool:
        """Whether TensorRT lets a context's work be recorded. Raises nothing: an answer does without."""
        try:
            with self._asking():
                asked = getattr(context, "is_stream_capturable", None)
                return asked is None or bool(asked(self._stream.handle))
        except DeviceError:
            return False

    def save_kernels(self) -> None:
        """Write the kernels compiled so far, if there are new ones; where that fails, they are compiled again."""
        if self._compiled is None or self._kernels is None:
            return
        with suppress(Exception):
            content = bytes(memoryview(self._compiled.serialize()))
            if content != self._saved:
                write_bytes(self._kernels, content)
                self._saved = content

    def close(self) -> None:
        """Release the plan; its contexts are released before. The stream frees the scratch memory."""
        self._compiled = self._settings = self._engine = self._runtime = None

    def _describe(self, name: str) -> Tensor:
        kind = self._engine.get_tensor_dtype(name).name
        is_input = self._engine.get_tensor_mode(name) == self._module.TensorIOMode.INPUT
        return Tensor(TYPES.get(kind, kind), tuple(self._engine.get_tensor_shape(name)), is_input)

    def _context_settings(self) -> Any:
        """Return what contexts are created with: the scratch memory is ours, and kernels are compiled at once.

        TensorRT-RTX would otherwise compile them behind the first answers, and a recording keep the generic ones.
        """
        ours = self._module.ExecutionContextAllocationStrategy.USER_MANAGED
        strategies = getattr(self._module, "DynamicShapesKernelSpecializationStrategy", None)
        if strategies is None:
            return ours
        settings = self._engine.create_runtime_config()
        settings.set_execution_context_allocation_strategy(ours)
        settings.dynamic_shapes_kernel_specialization_strategy = strategies.EAGER
        if self._kernels is not None:
            self._use_kernels(settings, self._kernels)
        return settings

    def _use_kernels(self, settings: Any, kernels: Path) -> None:
        """Let contexts share one cache of kernels, filled with what was compiled before, if this GPU takes it."""
        with suppress(Exception):  # it only saves time
            compiled = settings.create_runtime_cache()
            if kernels.is_file():
                self._saved = kernels.read_bytes()
                compiled.deserialize(self._saved)
            settings.set_runtime_cache(compiled)
            self._compiled = compiled

    @contextmanager
    def _asking(self) -> Iterator[Heard]:
        """Turn whatever TensorRT and its binding raise or refuse into a DeviceError with the first cause."""
        with heard_errors(self._module) as heard:
            try:
                yield heard
            except DeviceError:
                raise
            except Exception as error:
                self._stream.require_alive()
                cause = heard.first or str(error)
                raise (DeviceFullError if FULL in cause.lower() else DeviceError)(cause) from error


def _require(good: object, what: str) -> None:
    """Raise a RuntimeError, as TensorRT's binding does, where a call only says that it was refused."""
    if not good:
        raise RuntimeError(what)
