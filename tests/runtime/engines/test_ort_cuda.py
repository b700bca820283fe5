"""The `ort-cuda` engine on a stand-in for onnxruntime-gpu. Nothing here has run on a GPU."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
from rim_runtime.engines.ort_cuda import OrtCudaBackend
from rim_runtime.libraries import cuda
from rim_runtime.libraries.onnxruntime import import_onnxruntime
from rim_runtime.loading.load import load_encoder
from rim_runtime.machine.gpu import Gpu, Gpus

from tests.runtime.engines.fake_onnxruntime import FakeLibrary, FakeSession

FOUND = Gpus("580.95", (13, 0), (Gpu(0, "NVIDIA RTX 4090", (8, 9), 24_000_000_000),), None)


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
    monkeypatch.setattr(ort_cuda, "MOST_SHAPES", 2)
    library = FakeLibrary()
    with engine_on(library, tiny_bundle) as engine:
        for length in (1, 40, 80, 1):
            engine.ask("x" * length)
    assert library.released[:2] == [1, 2]
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
    monkeypatch.setattr(cuda, "LIBRARIES", ("libc.so.6", "libcudart.so.99", "libcublas.so.99"))
    with pytest.raises(EngineUnavailableError) as caught:
        open_on(FakeLibrary(falls_back=True), tiny_bundle)
    text = str(caught.value)
    assert text.startswith(
        "onnxruntime 1.31.1 would run on the CPU, not on the GPU: it misses libcudart.so.99, libcublas.so.99."
    )
    assert text.endswith('Run: pip install "rim-edge[gpu]"')
    assert capsys.readouterr().out == "", "nothing gets among the host program's answers"


def test_other_threads_may_print_meanwhile(tiny_bundle: Path) -> None:
    class Watching(FakeLibrary):
        def InferenceSession(self, *given: Any, **named: Any) -> FakeSession:  # noqa: N802
            assert sys.stdout is before
            return super().InferenceSession(*given, **named)

    before = sys.stdout
    loads = cuda._loads
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuda, "_loads", lambda library: seen.append(sys.stdout) or loads(library))
        open_on(Watching(), tiny_bundle).close()
    assert set(seen) == {before}


def test_cudas_libraries_come_from_packages_then_from_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "nvidia" / "cu13" / "lib"
    folder.mkdir(parents=True)
    (folder / "libcudart.so.13").write_bytes(b"")
    tried: list[str] = []
    monkeypatch.setattr(cuda, "LIBRARIES", ("libcudart.so.13", "libcublas.so.13"))
    monkeypatch.setattr(cuda, "FOLDERS", ("nvidia/cu13/lib",))
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(cuda, "_loads", lambda library: tried.append(library) or library.startswith("/"))
    assert cuda.load_cuda_libraries() == ("libcublas.so.13",)
    assert tried == [str(folder / "libcudart.so.13"), "libcublas.so.13"]


def test_heavy_nodes_on_the_cpu_are_refused(tiny_bundle: Path) -> None:
    with pytest.raises(EngineUnavailableError, match="would run Attention, MatMul on the CPU: it has no kernel"):
        open_on(FakeLibrary(on_cpu=["MatMul", "Attention", "Gather"]), tiny_bundle)


@pytest.mark.parametrize("index", [["Gather", "Range", "Cast"], []])
def test_other_work_on_the_cpu_is_said_beside_index_arithmetic(tiny_bundle: Path, index: list[str]) -> None:
    nodes = [*["RMSNormalization"] * 113, *["RotaryEmbedding"] * 56, "Softmax", *index]
    backend = open_on(FakeLibrary(on_cpu=nodes), tiny_bundle)
    (note,) = backend.notes
    assert note.startswith(
        "ort-cuda computes 113 RMSNormalization, 56 RotaryEmbedding, 1 Softmax on the CPU, with a"
    )
    backend.close()
    quiet = open_on(FakeLibrary(on_cpu=index), tiny_bundle)
    assert quiet.notes == ()
    quiet.close()


def test_it_takes_no_threads_and_no_more_memory_than_it_needs(tiny_bundle: Path) -> None:
    library = FakeLibrary()
    open_on(library, tiny_bundle).close()
    (options,) = library.options
    assert (options.intra_op_num_threads, options.log_severity_level) == (1, 4)
    assert options.entries["session.use_device_allocator_for_initializers"] == "1"
    assert library.settings[0]["arena_extend_strategy"] == "kSameAsRequested"


def test_falling_back_never_holds_the_weights_twice(tiny_bundle: Path) -> None:
    library = FakeLibrary(capture_trouble="cannot capture", memory=1)
    backend = open_on(library, tiny_bundle)
    assert (library.sessions, library.most_sessions) == (1, 1)
    assert backend.run(np.array([[1]]), np.array([1]), np.array([8])).shape == (1, 10)
    backend.close()
    assert library.sessions == 0


@pytest.mark.parametrize("lack", [{"falls_back": True}, {"on_cpu": ["MatMul"]}, {"broken": "no kernel"}])
def test_an_error_that_is_kept_keeps_no_weights(tiny_bundle: Path, lack: dict[str, Any]) -> None:
    """`auto` keeps the error of one engine while it loads the next."""
    library = FakeLibrary(**lack)
    with pytest.raises(EngineUnavailableError) as kept:
        open_on(library, tiny_bundle)
    assert kept.value.__traceback__ is not None
    assert library.sessions == 0


@pytest.mark.parametrize("room", [1, 2, 3])
def test_shapes_make_room_where_memory_runs_out(tiny_bundle: Path, room: int) -> None:
    library = FakeLibrary()
    library.most_bound = room
    with engine_on(library, tiny_bundle) as engine:
        for length in (1, 40, 80, 120, 1, 40):
            assert engine.ask("x" * length).letter
    assert len(library.released) >= 5 - room


@pytest.mark.parametrize(
    "full",
    [
        "BFCArena: Available memory of 512 is smaller than requested bytes of 1024",
        "CUDA failure 2: out of memory ; GPU=0",
        "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0",
    ],
)
def test_every_way_to_say_that_memory_ran_out_makes_room(tiny_bundle: Path, full: str) -> None:
    library = FakeLibrary()
    library.most_bound, library.full = 1, full
    with engine_on(library, tiny_bundle) as engine:
        assert engine.ask("x" * 80).letter


def test_memory_that_never_suffices(tiny_bundle: Path) -> None:
    library = FakeLibrary()
    backend = open_on(library, tiny_bundle)
    library.most_bound = 0
    with pytest.raises(EngineFailedError, match=r"\(Failed to allocate memory .*Ask fewer or shorter questions"):
        backend.run(np.ones((1, 80), np.int64), np.array([80]), np.array([8]))
    backend.close()


def test_a_graph_that_is_not_captured_still_runs_and_says_so(tiny_bundle: Path) -> None:
    trouble = "This session cannot use the graph capture feature"
    library = FakeLibrary(capture_trouble=trouble)
    backend = open_on(library, tiny_bundle)
    assert backend.notes == (
        f"ort-cuda launches its kernels one by one: ONNX Runtime does not capture this graph ({trouble}).",
    )
    assert backend.run(np.array([[1]]), np.array([1]), np.array([8])).shape == (1, 10)
    assert library.runs == ["-1"]
    assert library.released == [1], "the shape that was not captured"
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
    library.run_trouble = "CUDA failure 801: operation not supported"
    with pytest.raises(
        EngineFailedError, match=r"ort-cuda failed on 1 questions of up to 1 tokens \(CUDA failure 801"
    ):
        backend.run(np.array([[1]]), np.array([1]), np.array([8]))
    for code in (700, 719, 214):
        library.run_trouble = f"CUDA failure {code}: something dreadful ; GPU=0 ; file=x.cc"
        with pytest.raises(
            EngineFailedError, match=rf"lost the GPU \(CUDA failure {code}.*Start the program again"
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


def test_the_cpu_wheel_falls_back_in_silence_and_we_do_not(tiny_bundle: Path) -> None:
    """The danger itself, with the real library: CUDA was asked for, the CPU was given."""
    with (
        pytest.warns(UserWarning, match="CUDAExecutionProvider"),
        pytest.raises(EngineUnavailableError, match="would run on the CPU, not on the GPU"),
    ):
        open_on(import_onnxruntime(), tiny_bundle)
