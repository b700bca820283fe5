"""Captures that break in their beginning, in the work, at their end and in the instantiation cost no answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runtime.tensorrt.rig import Rig, ask, rig_of


@pytest.fixture
def rig(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    return rig_of(tiny_bundle, tmp_path, monkeypatch)


def answers(rig: Rig) -> None:
    """It answers, again and again, without a recording, and gives everything back."""
    backend = rig.backend()
    for length in (1, 80, 1, 80):
        assert ask(backend, length).shape == (1, 10)
    assert rig.cuda.capture is None and not rig.cuda.graphs
    assert (rig.cuda.calls["GraphLaunch"], rig.cuda.executables) == (0, [])
    rig.cuda.fails = rig.cuda.raises = rig.library.raises = {}
    backend.close()
    assert rig.cuda.is_clean


@pytest.mark.parametrize("call", ["StreamBeginCapture", "StreamEndCapture", "GraphInstantiate"])
@pytest.mark.parametrize("code", [801, 2, 901])
def test_a_capture_that_cuda_refuses(rig: Rig, call: str, code: int) -> None:
    rig.cuda.fails = {call: code}
    answers(rig)


@pytest.mark.parametrize("call", ["StreamBeginCapture", "GraphInstantiate"])
def test_a_capture_whose_binding_raises(rig: Rig, call: str) -> None:
    rig.cuda.raises = {call: TypeError("incompatible function arguments")}
    answers(rig)


def test_a_context_that_must_not_be_captured(rig: Rig) -> None:
    rig.library.capturable = False
    answers(rig)


def test_a_context_that_does_not_say(rig: Rig) -> None:
    rig.library.raises = {"is_stream_capturable": RuntimeError("not supported")}
    answers(rig)


@pytest.mark.parametrize("kind", [RuntimeError, TypeError, SystemExit])
def test_work_that_fails_in_a_capture_does_not_leave_the_stream_capturing(
    rig: Rig, kind: type[BaseException]
) -> None:
    def check(call: str) -> None:
        if call == "execute_async_v3" and rig.cuda.capture is not None:
            raise kind("incompatible arguments")

    rig.library.check = check  # type: ignore[method-assign]
    if issubclass(kind, Exception):
        answers(rig)
        return
    with pytest.raises(SystemExit):
        rig.backend()
    assert rig.cuda.capture is None and rig.cuda.is_clean


def test_a_call_that_spoils_the_capture(rig: Rig) -> None:
    def check(call: str) -> None:
        if call == "execute_async_v3" and rig.cuda.capture is not None:
            assert rig.cuda.cudaMalloc(8) == (900, None)
            rig.cuda.take_last_error()

    rig.library.check = check  # type: ignore[method-assign]
    answers(rig)


def test_a_shape_is_bound_once_and_only_its_work_is_captured(rig: Rig) -> None:
    backend = rig.backend()  # the stand-in fails where anything is bound during a capture
    for _ in range(3):
        ask(backend, 1)
    assert rig.library.executions == 2, "once to answer, once to record"
    assert rig.cuda.calls["GraphLaunch"] == 4, "the warm-up's second, and three answers"
    backend.close()
