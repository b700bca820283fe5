"""The real device of `trt`, call by call, on stand-ins for cuda-python and TensorRT that move our own memory.

Nothing here has run on a GPU. What is checked: order, sizes, addresses, that all is freed, and what errors say.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rim_runtime import Bundle, Engine, EngineFailedError, EngineUnavailableError, Question
from rim_runtime.bundle.manifest import Profile
from rim_runtime.engines.graph import INPUTS, Graph
from rim_runtime.engines.ort_cpu import OrtCpuBackend
from rim_runtime.engines.trt import TrtBackend
from rim_runtime.libraries.tensorrt import Library, TensorRt
from rim_runtime.loading.load import load_encoder
from rim_runtime.tensorrt import cuda_device
from rim_runtime.tensorrt.cuda_device import CudaDevice

STREAM, TO_DEVICE, TO_HOST = 77, 1, 2
OUTPUT = "letter_logits"


@dataclass
class FakeCuda:
    """cuda.bindings.runtime: every call gives a tuple that begins with its error."""

    host: dict[int, Any] = field(default_factory=dict)
    device: dict[int, Any] = field(default_factory=dict)
    queue: list[Callable[[], object]] = field(default_factory=list)
    recording: list[Callable[[], object]] | None = None
    graphs: int = 0
    launches: int = 0
    streams: int = 0
    fails: set[str] = field(default_factory=set)

    cudaStreamNonBlocking, cudaHostAllocDefault = 1, 0  # noqa: N815 (its names)
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=TO_DEVICE, cudaMemcpyDeviceToHost=TO_HOST)  # noqa: N815
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)  # noqa: N815

    def __getattr__(self, name: str) -> Callable[..., tuple[Any, ...]]:
        if not name.startswith("cuda"):
            raise AttributeError(name)

        def call(*arguments: Any) -> tuple[Any, ...]:
            if name in self.fails:
                return (700, None)
            given = getattr(self, "_" + name.removeprefix("cuda"))(*arguments)
            return (0,) if given is None else (0, given)

        call.__name__ = name
        return call

    def push(self, step: Callable[[], object]) -> None:
        (self.queue if self.recording is None else self.recording).append(step)

    def memory(self, address: int) -> Any:
        return self.device[address]

    def _GetErrorString(self, error: int) -> bytes:  # noqa: N802 (their names, below too)
        assert error == 700
        return b"an illegal memory access was encountered"

    def _SetDevice(self, number: int) -> None:  # noqa: N802
        assert number == 0

    def _StreamCreateWithFlags(self, flags: int) -> int:  # noqa: N802
        self.streams += 1
        return STREAM

    def _StreamDestroy(self, stream: int) -> None:  # noqa: N802
        self.streams -= 1

    def _HostAlloc(self, size: int, flags: int) -> int:  # noqa: N802
        return self._allocate(self.host, size)

    def _Malloc(self, size: int) -> int:  # noqa: N802
        return self._allocate(self.device, size)

    def _FreeHost(self, address: int) -> None:  # noqa: N802
        del self.host[address]

    def _Free(self, address: int) -> None:  # noqa: N802
        del self.device[address]

    def _MemcpyAsync(self, to: int, source: int, size: int, kind: int, stream: int) -> None:  # noqa: N802
        sides = {TO_DEVICE: (self.device, self.host), TO_HOST: (self.host, self.device)}[kind]
        assert [len(side[address]) for side, address in zip(sides, (to, source), strict=True)] == [size, size]
        assert stream == STREAM
        self.push(lambda: ctypes.memmove(to, source, size))

    def _StreamSynchronize(self, stream: int) -> None:  # noqa: N802
        assert self.recording is None, "a stream that records must not be waited for"
        for step in self.queue:
            step()
        self.queue.clear()

    def _StreamBeginCapture(self, stream: int, mode: int) -> None:  # noqa: N802
        assert not self.queue
        self.recording = []

    def _StreamEndCapture(self, stream: int) -> Any:  # noqa: N802
        recorded, self.recording = self.recording, None
        return recorded

    def _GraphInstantiate(self, graph: Any, flags: int) -> Any:  # noqa: N802
        self.graphs += 1
        return list(graph)

    def _GraphDestroy(self, graph: Any) -> None:  # noqa: N802
        graph.clear()

    def _GraphExecDestroy(self, launchable: Any) -> None:  # noqa: N802
        self.graphs -= 1

    def _GraphLaunch(self, launchable: Any, stream: int) -> None:  # noqa: N802
        self.launches += 1
        self.queue.extend(launchable)

    def _allocate(self, side: dict[int, Any], size: int) -> int:
        memory = (ctypes.c_byte * size)()
        side[ctypes.addressof(memory)] = memory
        return ctypes.addressof(memory)


class FakeTensorRt(SimpleNamespace):
    """tensorrt_rtx: an engine that computes with the tiny graph."""

    def __init__(self, cuda: FakeCuda, model: OrtCpuBackend) -> None:
        kinds = {name: SimpleNamespace(name="INT64") for name in INPUTS} | {OUTPUT: SimpleNamespace(name="FLOAT")}
        super().__init__(
            ILogger=FakeLogger,
            Runtime=lambda logger: FakeRuntime(self, logger),
            TensorIOMode=SimpleNamespace(INPUT="in", OUTPUT="out"),
            DynamicShapesKernelSpecializationStrategy=SimpleNamespace(EAGER="eager"),
            cuda=cuda,
            model=model,
            kinds=kinds,
            capturable=True,
            contexts=0,
            settings=[],
        )


class FakeLogger:
    ERROR, INTERNAL_ERROR, WARNING = "error", "internal", "warning"


@dataclass
class FakeRuntime:
    library: FakeTensorRt
    logger: Any

    def deserialize_cuda_engine(self, plan: bytes) -> FakeEngine | None:
        if plan != b"plan":
            self.logger.log(FakeLogger.WARNING, "never mind")
            self.logger.log(FakeLogger.ERROR, "magic tag does not match\nand more")
            return None
        return FakeEngine(self.library)


class FakeKernels:
    """A runtime cache."""

    def __init__(self) -> None:
        self.content = b""

    def deserialize(self, content: bytes) -> None:
        self.content = content

    def serialize(self) -> bytes:
        return self.content + b"kernels;"


@dataclass
class FakeEngine:
    library: FakeTensorRt
    num_io_tensors: int = 4

    def get_tensor_name(self, number: int) -> str:
        return [*INPUTS, OUTPUT][number]

    def get_tensor_mode(self, name: str) -> str:
        return "out" if name == OUTPUT else "in"

    def get_tensor_dtype(self, name: str) -> Any:
        return self.library.kinds[name]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return {INPUTS[0]: (-1, -1), OUTPUT: (-1, 10)}.get(name, (-1,))

    def create_runtime_config(self) -> Any:
        kept = SimpleNamespace(dynamic_shapes_kernel_specialization_strategy="lazy", cache=None)
        kept.create_runtime_cache = FakeKernels
        kept.set_runtime_cache = lambda cache: setattr(kept, "cache", cache)
        return kept

    def create_execution_context(self, settings: Any) -> FakeContext:
        self.library.settings.append(settings)
        self.library.contexts += 1
        return FakeContext(self.library)


@dataclass
class FakeContext:
    library: FakeTensorRt
    profile: int | None = None
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    addresses: dict[str, int] = field(default_factory=dict)

    def set_optimization_profile_async(self, profile: int, stream: int) -> bool:
        self.profile = profile
        return stream == STREAM

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shapes[name] = tuple(shape)
        return True

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def is_stream_capturable(self, stream: int) -> bool:
        return bool(self.library.capturable)

    def execute_async_v3(self, stream: int) -> bool:
        assert set(self.addresses) == {*INPUTS, OUTPUT} and set(self.shapes) == set(INPUTS)
        shapes, addresses = dict(self.shapes), dict(self.addresses)
        self.library.cuda.push(lambda: self._compute(shapes, addresses))
        return stream == STREAM

    def _compute(self, shapes: dict[str, tuple[int, ...]], addresses: dict[str, int]) -> None:
        memory = self.library.cuda.memory
        feed = [np.frombuffer(memory(addresses[n]), np.int64).reshape(shapes[n]) for n in INPUTS]
        logits = self.library.model.run(*feed)
        np.frombuffer(memory(addresses[OUTPUT]), np.float32).reshape(logits.shape)[:] = logits


@dataclass
class Rig:
    cuda: FakeCuda
    library: FakeTensorRt
    bundle: Bundle
    kernels: Path

    def device(self) -> CudaDevice:
        return CudaDevice(TensorRt(Library.RTX, self.library), self.kernels)

    def backend(self, plan: bytes = b"plan") -> TrtBackend:
        variant = self.bundle.manifest.variants[0]
        graph, profiles = Graph.of(self.bundle, variant), (Profile(1, 512, 4),)
        return TrtBackend(graph, plan, profiles, self.device(), precision=variant.precision, fingerprint="fake")


@pytest.fixture
def rig(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    bundle, cuda = Bundle.load(tiny_bundle), FakeCuda()
    monkeypatch.setattr(cuda_device, "import_cuda_runtime", lambda: cuda)
    library = FakeTensorRt(cuda, OrtCpuBackend(bundle, bundle.manifest.variants[0]))
    return Rig(cuda, library, bundle, tmp_path / "kernels" / "rtx")


def test_it_answers_like_the_cpu_and_frees_everything(rig: Rig) -> None:
    questions = [Question("why " * (1 + number)) for number in range(12)]
    backend = rig.backend()
    engine = Engine(rig.bundle.manifest, load_encoder(rig.bundle), backend)
    with Engine.load(rig.bundle.path, engine="ort-cpu") as cpu:
        for _ in range(2):
            for mine, theirs in zip(engine.ask_many(questions), cpu.ask_many(questions), strict=True):
                assert mine.letter_logits == pytest.approx(theirs.letter_logits, abs=1e-3)
    assert rig.cuda.launches > 0
    assert rig.cuda.graphs == rig.library.contexts > 0
    backend.close()
    assert (rig.cuda.host, rig.cuda.device, rig.cuda.graphs, rig.cuda.streams) == ({}, {}, 0, 0)
    backend.close()


def test_kernels_are_compiled_at_once_and_kept(rig: Rig) -> None:
    for expected in (b"kernels;", b"kernels;kernels;"):
        backend = rig.backend()
        backend.run(np.array([[1]]), np.array([1]), np.array([8]))
        backend.close()
        assert rig.kernels.read_bytes() == expected
    assert {one.dynamic_shapes_kernel_specialization_strategy for one in rig.library.settings} == {"eager"}


def test_a_context_that_cannot_be_captured_runs_all_the_same(rig: Rig) -> None:
    rig.library.capturable = False
    backend = rig.backend()
    for _ in range(2):
        assert backend.run(np.array([[1]]), np.array([1]), np.array([8])).shape == (1, 10)
    assert (rig.cuda.launches, rig.cuda.graphs) == (0, 0)
    backend.close()


def test_a_capture_that_fails_is_done_without(rig: Rig) -> None:
    rig.cuda.fails = {"cudaStreamEndCapture"}
    backend = rig.backend()
    backend.run(np.array([[1]]), np.array([1]), np.array([8]))
    rig.cuda.recording = None
    assert backend.run(np.array([[1]]), np.array([1]), np.array([8])).shape == (1, 10)
    assert rig.cuda.launches == 0


def test_a_device_that_is_beyond_help_can_be_closed(rig: Rig) -> None:
    backend = rig.backend()
    rig.cuda.fails = {"cudaStreamSynchronize", "cudaFree", "cudaGraphExecDestroy"}
    with pytest.raises(EngineFailedError):
        backend.run(np.array([[1]]), np.array([1]), np.array([8]))
    backend.close()


def test_what_cuda_and_tensorrt_say_is_passed_on(rig: Rig) -> None:
    with pytest.raises(EngineUnavailableError, match=r"The GPU refuses the plan \(magic tag does not match\)"):
        rig.backend(b"another")
    assert rig.cuda.streams == 0
    backend = rig.backend()
    rig.cuda.fails = {"cudaMemcpyAsync"}
    with pytest.raises(EngineFailedError, match="cudaMemcpyAsync: an illegal memory access was encountered"):
        backend.run(np.array([[1]]), np.array([1]), np.array([8]))
