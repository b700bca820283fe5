"""The `ort-cuda` engine on a stand-in for onnxruntime-gpu, which checks how it is used.

Nothing here has run on a GPU: the stand-in answers with the real library's CPU session.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rim_runtime import (
    Bundle,
    BundleCorruptError,
    Engine,
    EngineClosedError,
    EngineFailedError,
    EngineUnavailableError,
    Question,
)
from rim_runtime.engines import ort_cuda
from rim_runtime.engines.graph import INPUTS
from rim_runtime.engines.ort_cuda import PROVIDER, OrtCudaBackend
from rim_runtime.libraries.onnxruntime import import_onnxruntime
from rim_runtime.loading.load import load_encoder
from rim_runtime.machine.gpu import Gpu, Gpus

FOUND = Gpus("580.95", (13, 0), (Gpu(0, "NVIDIA RTX 4090", (8, 9), 24_000_000_000),), None)


@dataclass
class Node:
    op_type: str


@dataclass
class Group:
    ep_name: str
    nodes: list[Node]

    def get_nodes(self) -> list[Node]:
        return self.nodes


@dataclass(eq=False)
class Value:
    """An OrtValue: its address stays, its content changes in place."""

    array: np.ndarray
    device: str

    @classmethod
    def ortvalue_from_numpy(cls, array: np.ndarray, device: str, index: int) -> Value:
        assert (device, index) == ("cuda", 0)
        assert array.dtype == np.int64
        return cls(array.copy(), device)

    @classmethod
    def ortvalue_from_shape_and_type(cls, shape: list[int], dtype: type, device: str, index: int) -> Value:
        assert (device, index, dtype) == ("cuda", 0, np.float32)
        return cls(np.full(shape, np.nan, dtype), device)

    def update_inplace(self, array: np.ndarray) -> None:
        assert array.shape == self.array.shape and array.dtype == self.array.dtype
        np.copyto(self.array, array)

    def numpy(self) -> np.ndarray:
        return self.array.copy()


@dataclass(eq=False)
class Binding:
    inputs: dict[str, Value] = field(default_factory=dict)
    outputs: dict[str, Value] = field(default_factory=dict)

    def bind_ortvalue_input(self, name: str, value: Value) -> None:
        self.inputs[name] = value

    def bind_ortvalue_output(self, name: str, value: Value) -> None:
        self.outputs[name] = value


@dataclass
class Options:
    entries: dict[str, str] = field(default_factory=dict)

    def add_session_config_entry(self, key: str, value: str) -> None:
        self.entries[key] = value

    add_run_config_entry = add_session_config_entry


class FakeLibrary:
    """onnxruntime-gpu as far as the engine uses it; what goes wrong is chosen by its attributes."""

    __version__ = "1.31.1"
    SessionOptions = RunOptions = Options
    OrtValue = Value

    def __init__(
        self,
        *,
        falls_back: bool = False,
        capture_trouble: str = "",
        heavy_on_cpu: Sequence[str] = (),
        broken: str = "",
    ) -> None:
        self.real = import_onnxruntime()
        self.falls_back, self.capture_trouble = falls_back, capture_trouble
        self.heavy_on_cpu, self.broken = heavy_on_cpu, broken
        self.settings: list[dict[str, str]] = []
        self.captured: dict[str, tuple[Binding, dict[str, tuple[int, ...]]]] = {}
        self.runs: list[str] = []
        self.released: list[int] = []
        self.preloaded = False
        self.run_trouble = ""
        self.threads: set[int] = set()

    def preload_dlls(self, *, cudnn: bool) -> None:
        print("Failed to load libcufft.so.12: it is optional")  # as the real one does
        assert not cudnn
        self.preloaded = True

    def InferenceSession(  # noqa: N802 (its name)
        self, path: str, options: Options, *, providers: list[tuple[str, dict[str, str]]], enable_fallback: int
    ) -> FakeSession:
        assert self.preloaded and not enable_fallback
        ((name, settings),) = providers
        assert name == PROVIDER
        self.settings.append(settings)
        if self.broken:
            raise RuntimeError(self.broken)
        if self.capture_trouble and settings["enable_cuda_graph"] == "1":
            raise RuntimeError(self.capture_trouble)
        return FakeSession(self, path)


class FakeSession:
    def __init__(self, library: FakeLibrary, path: str) -> None:
        self.library = library
        self.cpu = library.real.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.get_inputs, self.get_outputs = self.cpu.get_inputs, self.cpu.get_outputs
        self.captures = library.settings[-1]["enable_cuda_graph"] == "1"

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"] if self.library.falls_back else [PROVIDER, "CPUExecutionProvider"]

    def get_provider_graph_assignment_info(self) -> list[Group]:
        on_cpu = Group("CPUExecutionProvider", [Node("Shape"), *map(Node, self.library.heavy_on_cpu)])
        return [on_cpu, Group(PROVIDER, [Node("MatMul")])]

    def io_binding(self) -> Binding:
        return Binding()

    def release_captured_graph(self, graph_id: int) -> None:
        self.library.released.append(graph_id)

    def run_with_iobinding(self, binding: Binding, options: Options) -> None:
        library = self.library
        library.threads.add(threading.get_ident())
        if library.run_trouble:
            raise RuntimeError(library.run_trouble)
        graph_id = options.entries["gpu_graph_id"]
        library.runs.append(graph_id)
        shapes = {name: value.array.shape for name, value in binding.inputs.items()}
        if self.captures:
            assert int(graph_id) > 0, "0 is ONNX Runtime's own"
            known = library.captured.setdefault(graph_id, (binding, shapes))
            assert known == (binding, shapes), "replaying another shape's graph would answer wrongly"
        else:
            assert graph_id == "-1"
        assert set(binding.inputs) == set(INPUTS)
        ((name, output),) = binding.outputs.items()
        (logits,) = self.cpu.run([name], {key: value.array for key, value in binding.inputs.items()})
        np.copyto(output.array, logits)


def open_on(library: Any, path: Path) -> OrtCudaBackend:
    bundle = Bundle.load(path)
    return OrtCudaBackend(bundle, bundle.manifest.variants[0], library, FOUND)


def engine_on(library: Any, path: Path) -> Engine:
    bundle = Bundle.load(path)
    return Engine(bundle.manifest, load_encoder(bundle), open_on(library, path))


def test_it_answers_like_the_cpu_alone_and_in_batches(tiny_bundle: Path) -> None:
    questions = [Question("why " * (1 + number)) for number in range(24)]
    with engine_on(FakeLibrary(), tiny_bundle) as one, Engine.load(tiny_bundle, engine="ort-cpu") as other:
        for asked in (questions[:1], questions):
            for mine, theirs in zip(one.ask_many(asked), other.ask_many(asked), strict=True):
                assert mine.letter_logits == pytest.approx(theirs.letter_logits, abs=1e-3)
                assert (mine.engine, mine.letter) == ("ort-cuda", theirs.letter)


def test_one_graph_a_shape_and_shapes_repeat(tiny_bundle: Path) -> None:
    library = FakeLibrary()
    with engine_on(library, tiny_bundle) as engine:
        assert library.runs == ["1", "1"], "the smallest shape is captured and replayed at once"
        for text in ("a", "bb", "c" * 40, "d" * 80, "a"):
            engine.ask(text)
        assert library.runs[2:] == ["1", "1", "2", "3", "1"]
    assert {shapes["question_ids"] for _, shapes in library.captured.values()} == {(1, 32), (1, 64), (1, 96)}


def test_one_thread_makes_every_call(tiny_bundle: Path) -> None:
    library = FakeLibrary()
    questions = ["why " * (1 + number % 20) for number in range(64)]
    with (
        engine_on(library, tiny_bundle) as engine,
        Engine.load(tiny_bundle, engine="ort-cpu") as cpu,
        ThreadPoolExecutor(8) as pool,
    ):
        for text, answer in zip(questions, pool.map(engine.ask, questions), strict=True):
            assert answer.letter_logits == pytest.approx(cpu.ask(text).letter_logits, abs=1e-3)
    assert len(library.threads) == 1
    assert library.threads.isdisjoint({threading.get_ident()})


def test_shapes_that_were_not_asked_for_long_make_room(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort_cuda, "MOST_GRAPHS", 2)
    library = FakeLibrary()
    with engine_on(library, tiny_bundle) as engine:
        for length in (1, 40, 80, 1):
            engine.ask("x" * length)
    assert library.released == [1, 2]
    assert library.runs[2:] == ["1", "2", "3", "4"], "an id is never used for two shapes"


def test_a_large_batch_is_cut(tiny_bundle: Path) -> None:
    library = FakeLibrary()
    backend = open_on(library, tiny_bundle)
    rows = 150
    logits = backend.run(np.ones((rows, 3), np.int64), np.full(rows, 3), np.full(rows, 8))
    assert logits.shape == (rows, 10)
    batches = [shapes["blocks"] for _, shapes in library.captured.values()]
    assert batches == [(1,), (64,), (32,)]
    backend.close()


def test_a_fall_back_to_the_cpu_is_refused_and_names_the_libraries(
    tiny_bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ort_cuda, "LIBRARIES", ("libc.so.6", "libcudart.so.99", "libcublas.so.99"))
    with pytest.raises(EngineUnavailableError) as caught:
        open_on(FakeLibrary(falls_back=True), tiny_bundle)
    text = str(caught.value)
    assert text.startswith(
        "onnxruntime 1.31.1 would run on the CPU, not on the GPU: it misses libcudart.so.99, libcublas.so.99."
    )
    assert text.endswith('Run: pip install "rim-edge[gpu]"')
    assert capsys.readouterr().out == "", "what ONNX Runtime prints there does not get among the answers"


def test_heavy_nodes_on_the_cpu_are_refused(tiny_bundle: Path) -> None:
    with pytest.raises(EngineUnavailableError, match="would run Attention, MatMul on the CPU: it has no kernel"):
        open_on(FakeLibrary(heavy_on_cpu=["MatMul", "Attention", "Gather"]), tiny_bundle)


def test_a_graph_that_is_not_captured_still_runs_and_says_so(tiny_bundle: Path) -> None:
    trouble = "This session cannot use the graph capture feature"
    library = FakeLibrary(capture_trouble=trouble)
    backend = open_on(library, tiny_bundle)
    assert backend.notes == (
        f"ort-cuda launches its kernels one by one: ONNX Runtime does not capture this graph ({trouble}).",
    )
    assert backend.run(np.array([[1]]), np.array([1]), np.array([8])).shape == (1, 10)
    assert library.runs == ["-1"]
    assert [settings["enable_cuda_graph"] for settings in library.settings] == ["1", "0"]
    backend.close()


def test_fp32_means_fp32(tiny_bundle: Path) -> None:
    library = FakeLibrary()
    open_on(library, tiny_bundle).close()
    assert library.settings[0]["use_tf32"] == "0"


def test_what_cannot_be_loaded_is_no_engine(tiny_bundle: Path) -> None:
    with pytest.raises(
        EngineUnavailableError, match=r"cannot load .* on the GPU \(CUDA out of memory; before: CUDA"
    ):
        open_on(FakeLibrary(broken="CUDA out of memory"), tiny_bundle)


def test_what_the_gpu_says_is_passed_on(tiny_bundle: Path) -> None:
    library = FakeLibrary()
    backend = open_on(library, tiny_bundle)
    library.run_trouble = "CUDA failure 700: an illegal memory access was encountered"
    with pytest.raises(
        EngineFailedError, match=r"ort-cuda failed on 1 questions of up to 1 tokens \(CUDA failure 700"
    ):
        backend.run(np.array([[1]]), np.array([1]), np.array([8]))
    backend.close()
    with pytest.raises(EngineClosedError):
        backend.run(np.array([[1]]), np.array([1]), np.array([8]))
    backend.close()


def test_an_output_of_unknown_width(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass
    class Loose:
        name: str = "letter_logits"
        type: str = "tensor(float)"
        shape: tuple[str, str] = ("batch", "letters")

    monkeypatch.setattr(FakeSession, "__init__", _with_outputs(FakeSession.__init__, [Loose()]))
    with pytest.raises(BundleCorruptError, match="does not say how many letters"):
        open_on(FakeLibrary(), tiny_bundle)


def _with_outputs(before: Callable[..., None], outputs: list[Any]) -> Callable[..., None]:
    def init(self: Any, *arguments: Any) -> None:
        before(self, *arguments)
        self.get_outputs = lambda: outputs

    return init


def test_every_call_exists_in_the_real_library() -> None:
    library = import_onnxruntime()
    for name in (
        "run_with_iobinding",
        "io_binding",
        "get_provider_graph_assignment_info",
        "release_captured_graph",
    ):
        assert hasattr(library.InferenceSession, name)
    for name in ("ortvalue_from_numpy", "ortvalue_from_shape_and_type", "update_inplace", "numpy"):
        assert hasattr(library.OrtValue, name)
    for name in ("bind_ortvalue_input", "bind_ortvalue_output"):
        assert hasattr(library.IOBinding, name)
    options = library.RunOptions()
    options.add_run_config_entry("gpu_graph_id", "1")
    library.preload_dlls(cudnn=False)


def test_the_cpu_wheel_falls_back_in_silence_and_we_do_not(tiny_bundle: Path) -> None:
    """The danger itself, with the real library: CUDA was asked for, the CPU was given."""
    with (
        pytest.warns(UserWarning, match="CUDAExecutionProvider"),
        pytest.raises(EngineUnavailableError, match="would run on the CPU, not on the GPU"),
    ):
        open_on(import_onnxruntime(), tiny_bundle)
