"""The `trt` engine on a stand-in for the GPU, which checks type, size and order of every call.

Nothing here has run on a GPU. The stand-in computes with the tiny graph on the CPU, once it is waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from rim_runtime import (
    Bundle,
    BundleCorruptError,
    Engine,
    EngineClosedError,
    EngineFailedError,
    EngineUnavailableError,
    Head,
    Question,
)
from rim_runtime.bundle.manifest import Profile
from rim_runtime.engines import trt
from rim_runtime.engines.graph import INPUTS, Graph
from rim_runtime.engines.ort_cpu import OrtCpuBackend
from rim_runtime.engines.trt import TrtBackend
from rim_runtime.libraries.tensorrt import Library, TensorRt, import_tensorrt
from rim_runtime.loading.load import load_encoder
from rim_runtime.tensorrt.cuda_device import CudaDevice
from rim_runtime.tensorrt.device import Buffer, DeviceError, Tensor

MakeBundle = Callable[..., Path]
PLAN = b"a plan"
PROFILES = (Profile(1, 96, 4), Profile(97, 512, 2))


@dataclass
class FakeGpu:
    """A device that does nothing before it is waited for, and refuses what a GPU would not forgive."""

    bundle: Bundle
    output: str = "letter_logits"
    records: bool = True
    contexts: dict[int, int] = field(default_factory=dict)
    buffers: dict[int, Buffer] = field(default_factory=dict)
    memory: dict[int, np.ndarray] = field(default_factory=dict)
    queue: list[Callable[[], None]] = field(default_factory=list)
    recording: list[Callable[[], None]] | None = None
    ran: set[int] = field(default_factory=set)
    launches: int = 0
    enqueued: int = 0
    loaded: bool = False
    closed: bool = False
    trouble: str | None = None

    def __post_init__(self) -> None:
        self.model = OrtCpuBackend(self.bundle, self.bundle.manifest.variants[0])

    def load(self, plan: bytes) -> Mapping[str, Tensor]:
        assert not (self.loaded or self.closed)
        if plan != PLAN:
            raise DeviceError("magic number differs")
        self.loaded = True
        inputs = {INPUTS[0]: Tensor("int64", (-1, -1), True)} | {
            n: Tensor("int64", (-1,), True) for n in INPUTS[1:]
        }
        return inputs | {self.output: Tensor("float32", (-1, len(self.bundle.manifest.letters)), False)}

    def context(self, profile: int) -> int:
        assert self.loaded and not self.closed and self.recording is None
        assert 0 <= profile < len(PROFILES)
        handle = max(self.contexts, default=0) + 1
        self.contexts[handle] = profile
        return handle

    def buffer(self, shape: Sequence[int], dtype: type[np.generic]) -> Buffer:
        assert self.contexts and not self.closed and self.recording is None
        assert dtype in (np.int64, np.float32)
        host = np.full(shape, -1 if dtype is np.int64 else np.nan, dtype)  # memory comes as it is
        buffer = Buffer(host, 0x1000 + 0x1000 * len(self.memory))
        self.buffers[buffer.pointer], self.memory[buffer.pointer] = buffer, host.copy()
        return buffer

    def upload(self, buffer: Buffer) -> None:
        self._alive(buffer)
        assert (buffer.host >= 0).all(), "copied before it was filled"
        self._push(lambda: np.copyto(self.memory[buffer.pointer], buffer.host))

    def enqueue(self, context: int, tensors: Mapping[str, Buffer]) -> None:
        assert set(tensors) == {*INPUTS, self.output}
        for buffer in tensors.values():
            self._alive(buffer)
        assert all(tensors[name].host.dtype == np.int64 for name in INPUTS)
        assert tensors[self.output].host.dtype == np.float32
        batch, length = tensors[INPUTS[0]].host.shape
        profile = PROFILES[self.contexts[context]]
        assert profile.least_length <= length <= profile.most_length and batch <= profile.most_batch
        assert tensors[self.output].host.shape == (batch, len(self.bundle.manifest.letters))
        assert [tensors[name].host.shape for name in INPUTS[1:]] == [(batch,), (batch,)]
        self.enqueued += 1
        self._push(lambda: self._compute(tensors))
        if self.recording is None:
            self.ran.add(context)

    def download(self, buffer: Buffer) -> None:
        self._alive(buffer)
        self._push(lambda: np.copyto(buffer.host, self.memory[buffer.pointer]))

    def record(self, context: int, work: Callable[[], None]) -> Callable[[], None]:
        assert context in self.ran, "TensorRT wants one run before recording"
        assert not self.queue and self.recording is None
        if not self.records:
            return work
        self.recording = []
        work()
        recorded, self.recording = self.recording, None

        def replay() -> None:
            assert not self.closed and context in self.contexts
            self.launches += 1
            self.queue.extend(recorded)

        return replay

    def synchronize(self) -> None:
        assert not self.closed
        for step in self.queue:
            step()
        self.queue.clear()
        if self.trouble:
            raise DeviceError(self.trouble)

    def release(self, context: int, tensors: Sequence[Buffer]) -> None:
        assert not self.queue
        del self.contexts[context]
        for buffer in tensors:
            self._alive(buffer)
            del self.buffers[buffer.pointer]

    def close(self) -> None:
        self.closed = True
        self.model.close()

    def _alive(self, buffer: Buffer) -> None:
        assert not self.closed, "used after close"
        assert self.buffers.get(buffer.pointer) is buffer, "not allocated, or freed"

    def _push(self, step: Callable[[], None]) -> None:
        (self.queue if self.recording is None else self.recording).append(step)

    def _compute(self, tensors: Mapping[str, Buffer]) -> None:
        ids, lengths, blocks = (self.memory[tensors[name].pointer] for name in INPUTS)
        assert (lengths >= 1).all() and (blocks >= 0).all(), "padding rows are questions too"
        np.copyto(self.memory[tensors[self.output].pointer], self.model.run(ids, lengths, blocks))


@dataclass
class Rig:
    """An engine on the stand-in, and the same bundle on the CPU."""

    gpu: FakeGpu
    engine: Engine
    backend: TrtBackend
    cpu: Engine


def rig_of(path: Path, **options: object) -> Rig:
    bundle = Bundle.load(path)
    gpu = FakeGpu(bundle, **options)  # type: ignore[arg-type]
    backend = backend_on(gpu)
    engine = Engine(bundle.manifest, load_encoder(bundle), backend)
    return Rig(gpu, engine, backend, Engine.load(path, engine="ort-cpu"))


def backend_on(gpu: FakeGpu, plan: bytes = PLAN) -> TrtBackend:
    variant = gpu.bundle.manifest.variants[0]
    graph = Graph.of(gpu.bundle, variant)
    return TrtBackend(graph, plan, PROFILES, gpu, precision=variant.precision, fingerprint="fake gpu")


@pytest.fixture
def rig(tiny_bundle: Path) -> Rig:
    return rig_of(tiny_bundle)


def same(rig: Rig, questions: Sequence[str]) -> None:
    asked = [Question(text) for text in questions]
    for mine, theirs in zip(rig.engine.ask_many(asked), rig.cpu.ask_many(asked), strict=True):
        assert mine.letter_logits == pytest.approx(theirs.letter_logits, abs=1e-3)
        assert (mine.engine, mine.letter) == ("trt", theirs.letter)


def test_it_answers_like_the_cpu_alone_and_in_batches(rig: Rig) -> None:
    same(rig, ["Why?"])
    same(rig, ["why " * (1 + number) for number in range(24)])


def test_a_shape_that_comes_again_takes_one_launch(rig: Rig) -> None:
    rig.engine.ask("Why?")
    assert (rig.gpu.enqueued, rig.gpu.launches) == (2, 0)  # once to answer, once to record
    same(rig, ["Who?"])
    same(rig, ["Where are you?"])
    assert (rig.gpu.enqueued, rig.gpu.launches) == (2, 2)
    assert len(rig.gpu.contexts) == 1


def test_what_cannot_be_recorded_is_launched_piece_by_piece(tiny_bundle: Path) -> None:
    rig = rig_of(tiny_bundle, records=False)
    for _ in range(3):
        same(rig, ["Why?"])
    assert (rig.gpu.enqueued, rig.gpu.launches) == (3, 0)


def test_each_length_gets_the_profile_that_takes_it(rig: Rig) -> None:
    for text in ("a", "b" * 91, "c" * 92, "d" * 400):
        same(rig, [text])
    assert sorted(rig.gpu.contexts.values()) == [0, 0, 1, 1]


def test_a_batch_over_the_profiles_is_cut(rig: Rig) -> None:
    same(rig, [f"question {number}" for number in range(9)])
    assert rig.gpu.enqueued == 4  # 4 + 4 + 1: two shapes, each recorded once, and one replay
    assert rig.gpu.launches == 1


def test_shapes_that_were_not_asked_for_long_make_room(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trt, "MOST_BUCKETS", 2)
    for length in (1, 50, 1, 80, 1, 50):
        same(rig, ["x" * length])
    assert len(rig.gpu.contexts) == 2
    assert len(rig.gpu.buffers) == 8


def test_many_threads_get_their_own_answers(rig: Rig) -> None:
    questions = ["why " * (1 + number % 20) for number in range(64)]
    expected = {text: rig.cpu.ask(text).letter_logits for text in set(questions)}
    with ThreadPoolExecutor(8) as pool:
        for text, answer in zip(questions, pool.map(rig.engine.ask, questions), strict=True):
            assert answer.letter_logits == pytest.approx(expected[text], abs=1e-3)


def test_a_closed_engine_says_so(rig: Rig) -> None:
    rig.engine.ask("Why?")
    rig.backend.close()
    assert rig.gpu.closed
    with pytest.raises(EngineClosedError):
        rig.backend.run(np.array([[1]]), np.array([1]), np.array([8]))


def test_what_the_device_says_is_passed_on(rig: Rig) -> None:
    rig.gpu.trouble = "an illegal memory access was encountered"
    with pytest.raises(
        EngineFailedError, match=r"trt failed on 1 questions of up to 9 tokens \(an illegal memory"
    ):
        rig.engine.ask("Why?")


def test_a_question_beyond_every_profile(rig: Rig) -> None:
    with pytest.raises(EngineFailedError, match="its plan takes at most 512 tokens"):
        rig.backend.run(np.zeros((1, 513), np.int64), np.array([513]), np.array([8]))


def test_a_plan_that_the_device_refuses(tiny_bundle: Path) -> None:
    gpu = FakeGpu(Bundle.load(tiny_bundle))
    with pytest.raises(EngineUnavailableError, match=r"The GPU refuses the plan \(magic number differs\)"):
        backend_on(gpu, b"another")
    assert gpu.closed


def test_a_plan_of_something_else(tiny_bundle: Path) -> None:
    gpu = FakeGpu(Bundle.load(tiny_bundle), output="logits")
    with pytest.raises(BundleCorruptError, match="It is no rim-edge graph"):
        backend_on(gpu)
    assert gpu.closed


def test_a_full_head(make_bundle: MakeBundle) -> None:
    bundle = Bundle.load(make_bundle(head=Head.FULL))

    class FullHead(FakeGpu):
        def load(self, plan: bytes) -> Mapping[str, Tensor]:
            tensors = super().load(plan)
            return {**tensors, "logits": Tensor("float32", (-1, 300), False)}

        def buffer(self, shape: Sequence[int], dtype: type[np.generic]) -> Buffer:
            if dtype is np.float32:
                assert tuple(shape) == (1, 300)
            return super().buffer(shape, dtype)

        def enqueue(self, context: int, tensors: Mapping[str, Buffer]) -> None:
            self._push(lambda: np.copyto(self.memory[tensors["logits"].pointer], np.arange(300, dtype=np.float32)))
            self.ran.add(context)

    backend = backend_on(FullHead(bundle, output="logits"))
    logits = backend.run(np.array([[1]]), np.array([1]), np.array([8]))
    assert logits.tolist() == [[float(token) for token in bundle.manifest.letters.values()]]


def test_the_real_device_says_why_it_cannot_be_taken() -> None:
    pytest.importorskip("cuda.bindings.runtime", reason="needs the extra [trt]", exc_type=ImportError)
    pytest.importorskip("tensorrt_rtx", reason="needs the extra [trt]", exc_type=ImportError)
    from rim_runtime.libraries.cuda import import_cuda_runtime

    error, count = import_cuda_runtime().cudaGetDeviceCount()
    if not int(error) and count:
        pytest.skip("there is a GPU here")
    with pytest.raises(DeviceError, match="cudaSetDevice: "):
        CudaDevice(import_tensorrt(Library.RTX, "This test"))


def test_every_call_of_the_real_device_exists_in_its_libraries() -> None:
    """The names that cuda_device.py uses, looked up in cuda-python and in TensorRT-RTX."""
    pytest.importorskip("cuda.bindings.runtime", reason="needs the extra [trt]", exc_type=ImportError)
    pytest.importorskip("tensorrt_rtx", reason="needs the extra [trt]", exc_type=ImportError)
    import ast

    from rim_runtime.tensorrt import cuda_device

    text = Path(cuda_device.__file__).read_text(encoding="utf-8")
    used = {node.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}
    cuda = cuda_device.import_cuda_runtime()
    calls = {name for name in used if name.startswith("cuda") and name[4:5].isupper()}
    assert len(calls) > 12
    kinds = (cuda, cuda.cudaMemcpyKind, cuda.cudaStreamCaptureMode)
    assert [name for name in calls if not any(hasattr(kind, name) for kind in kinds)] == []
    library: TensorRt = import_tensorrt(Library.RTX, "This test")
    module = library.module
    classes = {
        module.Runtime: ["deserialize_cuda_engine"],
        module.ICudaEngine: ["num_io_tensors", "get_tensor_name", "get_tensor_mode", "get_tensor_dtype",
                             "get_tensor_shape", "create_execution_context", "create_runtime_config"],
        module.IExecutionContext: ["set_input_shape", "set_tensor_address", "execute_async_v3",
                                   "set_optimization_profile_async", "is_stream_capturable"],
        module.IRuntimeConfig: ["dynamic_shapes_kernel_specialization_strategy", "create_runtime_cache",
                                "set_runtime_cache"],
        module.IRuntimeCache: ["serialize", "deserialize"],
    }  # fmt: skip
    for kind, names in classes.items():
        assert set(names) <= set(dir(kind))
        assert all(name in text for name in names), "the list above is the file's"
