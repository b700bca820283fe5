"""The `trt` engine on stand-ins for CUDA and TensorRT, which check type, size and order of every call.

Nothing here has run on a GPU. The stand-ins compute with the tiny graph on the CPU, once the stream is waited for.
Memory, captures and messages have tests of their own in tests/runtime/tensorrt.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from rim_runtime import (
    BundleCorruptError,
    Engine,
    EngineClosedError,
    EngineFailedError,
    EngineUnavailableError,
    Head,
    Question,
)
from rim_runtime.libraries.tensorrt import Library, import_tensorrt
from rim_runtime.tensorrt.cuda_stream import CudaStream, DeviceError

from tests.runtime.tensorrt.fake_cuda import LOST
from tests.runtime.tensorrt.rig import Rig, ask, rig_of

MakeBundle = Callable[..., Path]


@pytest.fixture
def rig(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    return rig_of(tiny_bundle, tmp_path, monkeypatch)


def same(rig: Rig, engine: Engine, questions: Sequence[str]) -> None:
    asked = [Question(text) for text in questions]
    with Engine.load(rig.bundle.path, engine="ort-cpu") as cpu:
        for mine, theirs in zip(engine.ask_many(asked), cpu.ask_many(asked), strict=True):
            assert mine.letter_logits == pytest.approx(theirs.letter_logits, abs=1e-3)
            assert (mine.engine, mine.letter) == ("trt", theirs.letter)


def test_it_answers_like_the_cpu_alone_and_in_batches(rig: Rig) -> None:
    with rig.engine() as engine:
        same(rig, engine, ["Why?"])
        same(rig, engine, ["why " * (1 + number) for number in range(24)])


def test_it_is_warm_and_a_shape_that_comes_again_takes_one_launch(rig: Rig) -> None:
    with rig.engine() as engine:
        assert (rig.library.executions, rig.cuda.calls["GraphLaunch"]) == (2, 1)
        for text in ("Why?", "Where are you?"):
            same(rig, engine, [text])
        assert (rig.library.executions, rig.cuda.calls["GraphLaunch"], rig.library.contexts) == (2, 3, 1)


def test_each_length_gets_the_profile_that_takes_it(rig: Rig) -> None:
    with rig.engine() as engine:
        for text in ("a", "b" * 91, "c" * 92, "d" * 400):
            same(rig, engine, [text])
        assert rig.library.contexts == 4


def test_a_batch_over_the_profiles_is_cut(rig: Rig) -> None:
    with rig.engine() as engine:
        same(rig, engine, [f"question {number}" for number in range(9)])
    assert rig.library.executions == 4, "4 + 4 + 1: two shapes, each recorded once"


def test_one_thread_of_its_own_makes_every_call(rig: Rig) -> None:
    mine = threading.get_ident()
    rig.cuda.current[mine] = 1  # as a host program with torch on its second GPU
    questions = ["why " * (1 + number % 20) for number in range(64)]
    with rig.engine() as engine, Engine.load(rig.bundle.path, engine="ort-cpu") as cpu:
        expected = {text: cpu.ask(text).letter_logits for text in set(questions)}
        with ThreadPoolExecutor(8) as pool:
            for text, answer in zip(questions, pool.map(engine.ask, questions), strict=True):
                assert answer.letter_logits == pytest.approx(expected[text], abs=1e-3)
    assert len(rig.cuda.threads) == 1
    assert mine not in rig.cuda.threads and rig.cuda.current[mine] == 1
    assert rig.cuda.calls["SetDevice"] == 1


def test_a_closed_engine_says_so(rig: Rig) -> None:
    backend = rig.backend()
    ask(backend)
    backend.close()
    assert rig.cuda.is_clean
    with pytest.raises(EngineClosedError):
        ask(backend)


def test_a_forked_process_is_told_to_load_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    from rim_runtime.engines import own_thread

    backend = rig.backend()
    with monkeypatch.context() as forked:
        forked.setattr(own_thread.os, "getpid", lambda: 1)
        with pytest.raises(EngineFailedError, match=r"threads do not follow into forks.*by 'spawn'"):
            ask(backend)
        backend.close()  # does not wait for a thread that is not there
    assert ask(backend).shape == (1, 10)
    backend.close()


def test_kernels_are_saved_when_they_are_compiled(rig: Rig) -> None:
    backend = rig.backend()
    ask(backend)
    assert rig.kernels.read_bytes() == b"(1, 32);", "a program that is killed now has them the next time"
    ask(backend, 80)
    ask(backend, 80)
    assert rig.kernels.read_bytes() == b"(1, 32);(1, 96);"
    written = rig.kernels.stat().st_mtime_ns
    backend.close()
    assert rig.kernels.stat().st_mtime_ns == written, "nothing new, nothing written"
    backend = rig.backend()
    ask(backend, 80)
    backend.close()
    assert rig.kernels.stat().st_mtime_ns == written
    assert {one.dynamic_shapes_kernel_specialization_strategy for one in rig.library.settings} == {"eager"}


def test_kernels_of_another_driver_are_compiled_again(rig: Rig) -> None:
    rig.kernels.parent.mkdir()
    rig.kernels.write_bytes(b"of another driver")
    rig.library.validates = False
    rig.backend().close()
    assert rig.kernels.read_bytes() == b"(1, 32);"


@pytest.mark.parametrize("call", ["create_runtime_cache", "deserialize", "serialize"])
def test_kernels_that_cannot_be_kept_cost_no_answer(rig: Rig, call: str) -> None:
    rig.kernels.parent.mkdir()
    rig.kernels.write_bytes(b"damaged")
    rig.library.raises = {call: RuntimeError("not in this build")}
    backend = rig.backend()
    assert ask(backend).shape == (1, 10)
    backend.close()
    assert rig.cuda.is_clean


CALLS = ("create_execution_context", "set_optimization_profile_async", "execute_async_v3")


@pytest.mark.parametrize("call", ["deserialize_cuda_engine", *CALLS])
@pytest.mark.parametrize("error", [RuntimeError("of the library"), TypeError("of the binding"), ValueError("odd")])
def test_whatever_the_libraries_raise_at_the_load_is_no_engine(rig: Rig, call: str, error: Exception) -> None:
    rig.library.raises = {call: error}
    with pytest.raises(EngineUnavailableError, match=rf"The GPU refuses the plan \({error}\)"):
        rig.backend()
    error.__traceback__ = None
    assert rig.cuda.is_clean


@pytest.mark.parametrize("call", CALLS)
def test_whatever_the_libraries_raise_later_is_a_failed_engine(rig: Rig, call: str) -> None:
    backend = rig.backend()
    rig.library.raises = {call: TypeError("of the binding")}
    with pytest.raises(EngineFailedError, match=r"trt failed on 1 questions of up to 80 tokens \(of the binding"):
        ask(backend, 80)
    rig.library.raises = {}
    assert ask(backend, 80).shape == (1, 10)
    backend.close()


@pytest.mark.parametrize("call", ["SetDevice", "StreamCreateWithFlags"])
@pytest.mark.parametrize("binding", [False, True])
def test_a_gpu_that_cannot_be_taken_is_known_before_a_plan_is_built(rig: Rig, call: str, binding: bool) -> None:
    if binding:
        rig.cuda.raises = {call: RuntimeError("function not found")}
    else:
        rig.cuda.fails = {call: 801}

    def never() -> None:
        raise AssertionError("nothing was to be built")

    with pytest.raises(EngineUnavailableError, match=rf"trt cannot take the GPU \(cuda{call}: .*rim-edge doctor"):
        rig.backend(obtain=never)  # type: ignore[arg-type]
    assert rig.cuda.is_clean


def test_a_shape_that_the_plan_does_not_know_in_full(rig: Rig) -> None:
    rig.library.missing_shapes = ["blocks"]
    with pytest.raises(EngineUnavailableError, match=r"refuses the plan \(no shape of blocks\)"):
        rig.backend()


def test_the_first_message_explains_a_refusal(rig: Rig) -> None:
    with pytest.raises(EngineUnavailableError, match=r"The GPU refuses the plan \(magic tag does not match\)"):
        rig.backend(b"another")
    assert rig.cuda.is_clean
    backend = rig.backend()
    rig.cuda.fails = {"MemcpyAsync": 801}
    with pytest.raises(EngineFailedError, match=r"\(cudaMemcpyAsync: operation not supported\)"):
        ask(backend, 80)
    rig.cuda.fails = {}
    assert ask(backend, 80).shape == (1, 10), "no other library takes our old error for its own"
    backend.close()


@pytest.mark.parametrize("call", ["StreamSynchronize", "MemcpyAsync", "GraphLaunch"])
def test_a_lost_gpu_is_told_apart_and_can_be_closed(rig: Rig, call: str) -> None:
    backend = rig.backend()
    rig.cuda.fails = {call: LOST}
    length = 1 if call == "GraphLaunch" else 80
    for _ in range(2):
        with pytest.raises(EngineFailedError) as caught:
            ask(backend, length)
        assert str(caught.value).startswith("trt lost the GPU (cuda")
        assert "an illegal memory access" in str(caught.value) and "Start the program again" in str(caught.value)
    backend.close()


def test_a_gpu_that_is_lost_in_tensorrt_is_told_apart(rig: Rig) -> None:
    backend = rig.backend()

    def check(call: str) -> None:
        if call == "execute_async_v3":
            rig.cuda.lost = True
            raise RuntimeError("a kernel failed")

    rig.library.check = check  # type: ignore[method-assign]
    with pytest.raises(EngineFailedError, match=r"trt lost the GPU \(an illegal memory access"):
        ask(backend, 80)
    backend.close()


def test_a_gpu_that_is_lost_at_the_load_is_no_engine(rig: Rig) -> None:
    rig.cuda.fails = {"StreamSynchronize": LOST}
    with pytest.raises(EngineUnavailableError, match="trt lost the GPU"):
        rig.backend()


def test_a_question_beyond_every_profile(rig: Rig) -> None:
    with rig.engine(backend := rig.backend()), pytest.raises(EngineFailedError, match="takes at most 512 tokens"):
        ask(backend, 513)


def test_a_plan_of_something_else(rig: Rig) -> None:
    rig.library.output = "logits"
    with pytest.raises(BundleCorruptError, match="It is no rim-edge graph"):
        rig.backend()
    assert rig.cuda.is_clean


def test_a_plan_of_unknown_width(rig: Rig) -> None:
    rig.library.columns = -1
    with pytest.raises(BundleCorruptError, match="does not say how many letters"):
        rig.backend()


def test_a_full_head(make_bundle: MakeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = rig_of(make_bundle(head=Head.FULL), tmp_path, monkeypatch)
    rig.library.output, rig.library.columns = "logits", 300

    class Counts:
        """A model whose logit of a token is the token."""

        def run(self, ids: np.ndarray, lengths: np.ndarray, blocks: np.ndarray) -> np.ndarray:
            return np.tile(np.arange(300, dtype=np.float32), (len(ids), 1))

    rig.library.model = Counts()  # type: ignore[assignment]
    backend = rig.backend()
    assert ask(backend).tolist() == [[float(token) for token in rig.bundle.manifest.letters.values()]]
    backend.close()


def test_the_real_cuda_says_why_it_cannot_be_taken() -> None:
    pytest.importorskip("cuda.bindings.runtime", reason="needs the extra [trt]", exc_type=ImportError)
    from rim_runtime.libraries.cuda import import_cuda_runtime

    error, count = import_cuda_runtime().cudaGetDeviceCount()
    if not int(error) and count:
        pytest.skip("there is a GPU here")
    with pytest.raises(DeviceError, match=r"cudaSetDevice: (CUDA driver version is insufficient|no CUDA-capable)"):
        CudaStream()


def test_every_call_exists_in_the_real_libraries() -> None:
    """The names that cuda_stream.py and loaded_plan.py use, looked up in cuda-python and in TensorRT-RTX."""
    pytest.importorskip("cuda.bindings.runtime", reason="needs the extra [trt]", exc_type=ImportError)
    pytest.importorskip("tensorrt_rtx", reason="needs the extra [trt]", exc_type=ImportError)
    import ast

    from rim_runtime.libraries.cuda import LOST as LOST_CODES
    from rim_runtime.libraries.cuda import OUT_OF_MEMORY, import_cuda_runtime
    from rim_runtime.tensorrt import cuda_stream, loaded_plan

    text = Path(cuda_stream.__file__).read_text(encoding="utf-8")
    used = {node.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}
    cuda = import_cuda_runtime()
    calls = {name for name in used if name.startswith("cuda") and name[4:5].isupper()}
    assert len(calls) > 14
    kinds = (cuda, cuda.cudaMemcpyKind, cuda.cudaStreamCaptureMode)
    assert [name for name in calls if not any(hasattr(kind, name) for kind in kinds)] == []
    assert cuda.cudaError_t(OUT_OF_MEMORY).name == "cudaErrorMemoryAllocation"
    documented = {
        int(one) for one in cuda.cudaError_t if "must be terminated" in " ".join((one.__doc__ or "").split())
    }
    assert documented <= LOST_CODES | {810, 918}, "errors that only a new process gets over"
    module = import_tensorrt(Library.RTX, "This test").module
    text = Path(loaded_plan.__file__).read_text(encoding="utf-8")
    classes = {
        module.Runtime: ["deserialize_cuda_engine"],
        module.ICudaEngine: ["num_io_tensors", "get_tensor_name", "get_tensor_mode", "get_tensor_dtype",
                             "get_tensor_shape", "create_execution_context", "create_runtime_config",
                             "device_memory_size_v2"],
        module.IExecutionContext: ["set_input_shape", "set_tensor_address", "execute_async_v3", "infer_shapes",
                                   "set_optimization_profile_async", "is_stream_capturable", "set_device_memory"],
        module.IRuntimeConfig: ["dynamic_shapes_kernel_specialization_strategy", "create_runtime_cache",
                                "set_runtime_cache", "set_execution_context_allocation_strategy"],
        module.IRuntimeCache: ["serialize", "deserialize"],
        module.ExecutionContextAllocationStrategy: ["USER_MANAGED"],
        module.DynamicShapesKernelSpecializationStrategy: ["EAGER"],
    }  # fmt: skip
    for kind, names in classes.items():
        assert set(names) <= set(dir(kind))
        assert all(name in text for name in names), "the list above is the file's"
    overloads = module.ICudaEngine.create_execution_context.__doc__
    assert "runtime_config: " in overloads and "strategy: " in overloads
    assert (
        "memory: typing.SupportsInt, size: typing.SupportsInt"
        in module.IExecutionContext.set_device_memory.__doc__
    )
    assert "serialized_engine: typing_extensions.Buffer" in module.Runtime.deserialize_cuda_engine.__doc__
