"""A stand-in for tensorrt_rtx whose engine computes with the tiny graph, in the memory of the stand-in for CUDA.

Weights, contexts and scratch memory cost device memory; contexts can fail; the first logger is kept, as the real
library does, and messages to a logger that is gone are a fault.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from enum import Enum
from types import SimpleNamespace
from typing import Any

import numpy as np
from rim_runtime.engines.graph import INPUTS
from rim_runtime.engines.ort_cpu import OrtCpuBackend

from tests.runtime.tensorrt.fake_cuda import FakeCuda

OUTPUT = "letter_logits"
PLAN = b"plan"
WEIGHTS, SCRATCH, CONTEXT = 2_000_000, 400_000, 10_000
"""Bytes on the device: of the plan's weights, of the largest profile's scratch memory, of each context."""


class Strategy(Enum):
    """Who allocates the scratch memory of a context."""

    STATIC, ON_PROFILE_CHANGE, USER_MANAGED = range(3)


class FakeLogger:
    """ILogger."""

    ERROR, INTERNAL_ERROR, WARNING = "error", "internal", "warning"


@dataclass(eq=False)
class FakeTensorRt:
    """The module; what goes wrong is chosen by its attributes."""

    cuda: FakeCuda
    model: OrtCpuBackend
    output: str = OUTPUT
    columns: int = 10
    capturable: bool = True
    context_refusals: list[str] = field(default_factory=list)
    """Texts that the next contexts are refused with, without an exception."""
    raises: dict[str, Exception] = field(default_factory=dict)
    """What the binding raises, by call."""
    validates: bool = True
    """Whether the file of kernels was made in this environment."""
    missing_shapes: list[str] = field(default_factory=list)
    contexts: int = 0
    """Contexts alive."""
    executions: int = 0
    settings: list[Any] = field(default_factory=list)
    loggers: list[weakref.ref[Any]] = field(default_factory=list)

    ILogger = FakeLogger
    TensorIOMode = SimpleNamespace(INPUT="in", OUTPUT="out")
    DynamicShapesKernelSpecializationStrategy = SimpleNamespace(EAGER="eager")
    ExecutionContextAllocationStrategy = Strategy

    def Runtime(self, logger: Any) -> FakeRuntime:  # noqa: N802 (its name)
        self.loggers.append(weakref.ref(logger))
        return FakeRuntime(self)

    def say(self, *texts: str) -> None:
        """Report to the first logger that was ever given, as the real library does."""
        logger = self.loggers[0]()
        assert logger is not None, "a message to a logger that was freed"
        for text in texts:
            logger.log(FakeLogger.ERROR, text)

    def check(self, call: str) -> None:
        if call in self.raises:
            raise self.raises[call]


@dataclass(eq=False)
class FakeRuntime:
    """IRuntime."""

    library: FakeTensorRt

    def deserialize_cuda_engine(self, plan: bytes | memoryview) -> FakeEngine | None:
        self.library.check("deserialize_cuda_engine")
        if bytes(plan) != PLAN:
            self.library.say("magic tag does not match\nand more", "catchCudaError: a consequence")
            return None
        if not self.library.cuda.take(WEIGHTS):
            self.library.say("Cuda Runtime (out of memory)", "a consequence")
            return None
        return FakeEngine(self.library)


class FakeKernels:
    """IRuntimeCache."""

    def __init__(self, library: FakeTensorRt) -> None:
        self.library, self.content = library, b""

    def deserialize(self, content: bytes) -> bool:
        self.library.check("deserialize")
        if self.library.validates:
            self.content = content
        return self.library.validates

    def serialize(self) -> bytes | None:
        self.library.check("serialize")
        return self.content

    def compile(self, shape: tuple[int, ...]) -> None:
        """A kernel for each shape, unless it is there."""
        name = repr(shape).encode() + b";"
        if name not in self.content:
            self.content += name


class FakeEngine:
    """ICudaEngine."""

    num_io_tensors = 4

    def __init__(self, library: FakeTensorRt) -> None:
        self.library = library
        weakref.finalize(self, _give_back, library.cuda, WEIGHTS)

    @property
    def device_memory_size_v2(self) -> int:
        return SCRATCH

    def get_tensor_name(self, number: int) -> str:
        return [*INPUTS, self.library.output][number]

    def get_tensor_mode(self, name: str) -> str:
        return "in" if name in INPUTS else "out"

    def get_tensor_dtype(self, name: str) -> Any:
        return SimpleNamespace(name="INT64" if name in INPUTS else "FLOAT")

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return {INPUTS[0]: (-1, -1), self.library.output: (-1, self.library.columns)}.get(name, (-1,))

    def create_runtime_config(self) -> FakeSettings:
        return FakeSettings(self.library)

    def create_execution_context(self, settings: FakeSettings) -> FakeContext | None:
        library = self.library
        library.check("create_execution_context")
        library.settings.append(settings)
        if library.context_refusals:
            library.say(library.context_refusals.pop(0), "a consequence")
            return None
        cost = CONTEXT + (SCRATCH if settings.strategy is Strategy.STATIC else 0)
        if not library.cuda.take(cost):
            library.say("Cuda Runtime (out of memory)", "a consequence")
            return None
        return FakeContext(self, settings, cost)


@dataclass(eq=False)
class FakeSettings:
    """IRuntimeConfig."""

    library: FakeTensorRt
    strategy: Strategy = Strategy.STATIC
    dynamic_shapes_kernel_specialization_strategy: str = "lazy"
    kernels: FakeKernels | None = None

    def set_execution_context_allocation_strategy(self, strategy: Strategy) -> None:
        self.strategy = strategy

    def create_runtime_cache(self) -> FakeKernels:
        self.library.check("create_runtime_cache")
        return FakeKernels(self.library)

    def set_runtime_cache(self, kernels: FakeKernels) -> None:
        self.kernels = kernels


class FakeContext:
    """IExecutionContext."""

    def __init__(self, engine: FakeEngine, settings: FakeSettings, cost: int) -> None:
        self.engine, self.library, self.settings = engine, engine.library, settings
        self.library.contexts += 1
        self.profile: int | None = None
        self.scratch: int | None = None
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}
        weakref.finalize(self, _give_back, self.library.cuda, cost)
        weakref.finalize(self, _one_less, self.library)

    def set_device_memory(self, memory: int, size: int) -> None:
        assert self.settings.strategy is Strategy.USER_MANAGED and self.profile is None
        assert size >= SCRATCH and len(self.library.cuda.device[memory]) >= SCRATCH
        self.scratch = memory

    def set_optimization_profile_async(self, profile: int, stream: int) -> bool:
        self.library.check("set_optimization_profile_async")
        self._bind()
        self.profile = profile
        return stream == 77

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self._bind()
        self.shapes[name] = tuple(shape)
        return True

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._bind()
        assert address in self.library.cuda.device
        self.addresses[name] = address
        return True

    def infer_shapes(self) -> list[str]:
        self._bind()
        return self.library.missing_shapes or [name for name in INPUTS if name not in self.shapes]

    def is_stream_capturable(self, stream: int) -> bool:
        self.library.check("is_stream_capturable")
        return self.library.capturable

    def execute_async_v3(self, stream: int) -> bool:
        self.library.check("execute_async_v3")
        cuda = self.library.cuda
        assert stream == 77 and set(self.addresses) == {*INPUTS, self.library.output}
        assert self.settings.strategy is Strategy.STATIC or self.scratch in cuda.device, "no scratch memory"
        if code := cuda.take_last_error():
            self.library.say(f"Cuda Runtime (error {code})")
            return False
        if self.settings.kernels is not None:
            self.settings.kernels.compile(self.shapes[INPUTS[0]])
        self.library.executions += 1
        cuda.push(self._compute)
        return True

    def _bind(self) -> None:
        assert self.library.cuda.capture is None, "bound during a capture"

    def _compute(self) -> None:
        memory = self.library.cuda.device
        feed = [np.frombuffer(memory[self.addresses[n]], np.int64).reshape(self.shapes[n]) for n in INPUTS]
        assert (feed[1] >= 1).all() and (feed[2] >= 0).all(), "padding rows are questions too"
        logits = self.library.model.run(*feed)
        into = np.frombuffer(memory[self.addresses[self.library.output]], np.float32)
        into.reshape(len(logits), -1)[:, : logits.shape[1]] = logits


def _give_back(cuda: FakeCuda, size: int) -> None:
    cuda.used -= size


def _one_less(library: FakeTensorRt) -> None:
    library.contexts -= 1
