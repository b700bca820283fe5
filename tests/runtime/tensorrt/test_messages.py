"""TensorRT's messages: one logger for the process, the first cause, and no old text for a new failure."""

from __future__ import annotations

import re
import threading
import weakref
from pathlib import Path
from types import SimpleNamespace

import pytest
from rim_runtime import EngineUnavailableError
from rim_runtime.bundle.manifest import Profile
from rim_runtime.libraries.tensorrt import Library, TensorRt, import_tensorrt
from rim_runtime.tensorrt.build import build_plan
from rim_runtime.tensorrt.cuda_stream import DeviceError
from rim_runtime.tensorrt.loaded_plan import LoadedPlan
from rim_runtime.tensorrt.messages import heard_errors, process_logger

from tests.runtime.tensorrt.fake_tensorrt import FakeLogger


class Module(SimpleNamespace):
    """A TensorRT module that is nothing but its logger's class."""

    ILogger = FakeLogger
    __hash__ = object.__hash__


def test_there_is_one_logger_for_a_module() -> None:
    module = Module()
    logger = weakref.ref(process_logger(module))
    assert process_logger(module) is logger() is not None
    assert process_logger(Module()) is not process_logger(module)


def test_the_first_error_is_the_cause_in_one_line() -> None:
    module = Module()
    logger = process_logger(module)
    with heard_errors(module) as heard:
        logger.log(FakeLogger.WARNING, "never mind")
        logger.log(FakeLogger.INTERNAL_ERROR, "magic tag does not match\nand more")
        logger.log(FakeLogger.ERROR, "catchCudaError")
    assert heard.first == "magic tag does not match"


def test_an_old_text_explains_no_new_failure() -> None:
    module = Module()
    logger = process_logger(module)
    logger.log(FakeLogger.ERROR, "before anybody listened")
    with heard_errors(module) as first:
        logger.log(FakeLogger.ERROR, "old trouble")
        with heard_errors(module) as inner:
            logger.log(FakeLogger.ERROR, "inner")
        logger.log(FakeLogger.ERROR, "outer")
    with heard_errors(module) as second:
        pass
    assert (first.errors, inner.errors, second.first) == (["old trouble", "outer"], ["inner"], "")


def test_threads_hear_their_own_errors_and_those_of_tensorrts_threads() -> None:
    module = Module()
    logger = process_logger(module)
    with heard_errors(module) as mine:
        heard: list[str] = []

        def other() -> None:
            with heard_errors(module) as theirs:
                logger.log(FakeLogger.ERROR, "theirs")
            heard.append(theirs.first)

        for work in (other, lambda: logger.log(FakeLogger.ERROR, "a thread of TensorRT's own")):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        logger.log(FakeLogger.ERROR, "mine")
    assert heard == ["theirs"]
    assert mine.errors == ["a thread of TensorRT's own", "mine"]


@pytest.fixture(scope="module")
def rtx() -> TensorRt:
    pytest.importorskip("tensorrt_rtx", reason="needs the extra [trt]", exc_type=ImportError)
    return import_tensorrt(Library.RTX, "This test")


def test_the_real_library_keeps_our_logger_and_says_nothing_of_another(
    rtx: TensorRt, tiny_bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    logger = process_logger(rtx.module)
    said: list[str] = []
    before = type(logger).log

    def log(self: object, severity: object, text: str) -> None:
        said.append(text)
        before(self, severity, text)

    type(logger).log = log
    try:
        for _ in range(2):
            build_plan(rtx, tiny_bundle / "model.fp32.onnx", ("sm_89",), (Profile(1, 64, 2),))
            rtx.module.Runtime(logger)
    finally:
        type(logger).log = before
    assert not [text for text in said if "differs from one already registered" in text]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("plan", "cause"),
    [
        (b"", "Cannot deserialize with an empty memory buffer"),
        (b"short", "bufferSize >= minBufferSize failed"),
        (memoryview(b"another" * 100), "header.magicTag == kEXPECTED_MAGIC_TAG failed"),
    ],
)
def test_the_real_library_says_what_is_wrong_with_a_plan(
    rtx: TensorRt, plan: bytes | memoryview, cause: str
) -> None:
    """Without a GPU it goes on to complain of CUDA, which explains nothing."""
    stream = SimpleNamespace(require_alive=lambda: None, handle=0)
    with pytest.raises(DeviceError, match=re.escape(cause)):
        LoadedPlan(rtx, stream, plan, None)  # type: ignore[arg-type]


def test_what_the_real_binding_raises_is_converted(rtx: TensorRt, tiny_bundle: Path) -> None:
    with pytest.raises(EngineUnavailableError, match=r"tensorrt-rtx 1\.7\.1\.116 cannot build .*SM999"):
        build_plan(rtx, tiny_bundle / "model.fp32.onnx", ("sm_999",), (Profile(1, 64, 2),))
