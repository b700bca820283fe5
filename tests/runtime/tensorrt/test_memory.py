"""Memory of the GPU: one scratch memory for all shapes, no leaks, and old shapes make room for new ones."""

from __future__ import annotations

import weakref
from pathlib import Path

import pytest
from rim_runtime import Engine, EngineFailedError, EngineUnavailableError, Question
from rim_runtime.engines import trt
from rim_runtime.tensorrt.plans import LoadablePlan

from tests.runtime.tensorrt.fake_cuda import FULL
from tests.runtime.tensorrt.fake_tensorrt import CONTEXT, PLAN, SCRATCH, WEIGHTS, Strategy
from tests.runtime.tensorrt.rig import PROFILES, Rig, ask, rig_of

LENGTHS = (1, 40, 80, 100, 150, 200, 300, 400, 500)


@pytest.fixture
def rig(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    return rig_of(tiny_bundle, tmp_path, monkeypatch)


def test_all_shapes_share_one_scratch_memory(rig: Rig) -> None:
    backend = rig.backend()
    for length in LENGTHS:
        ask(backend, length)
    assert rig.library.contexts == len(LENGTHS)
    assert {one.strategy for one in rig.library.settings} == {Strategy.USER_MANAGED}
    assert rig.cuda.peak < WEIGHTS + SCRATCH + len(LENGTHS) * (CONTEXT + 5_000)
    backend.close()


def test_everything_is_given_back(rig: Rig) -> None:
    questions = [Question("why " * (1 + number)) for number in range(12)]
    backend = rig.backend()
    with Engine.load(rig.bundle.path, engine="ort-cpu") as cpu:
        for _ in range(2):
            for mine, theirs in zip(rig.engine(backend).ask_many(questions), cpu.ask_many(questions), strict=True):
                assert mine.letter_logits == pytest.approx(theirs.letter_logits, abs=1e-3)
    assert rig.cuda.calls["GraphLaunch"] > 0
    backend.close()
    assert rig.cuda.is_clean
    backend.close()


@pytest.mark.parametrize("call", ["Malloc", "HostAlloc"])
def test_a_shape_that_finds_no_memory_leaves_nothing_behind(rig: Rig, call: str) -> None:
    backend = rig.backend()
    held = rig.cuda.used, len(rig.cuda.host), len(rig.cuda.device), rig.library.contexts
    rig.cuda.fails = {call: FULL}
    for _ in range(4):
        with pytest.raises(EngineFailedError, match=f"cuda{call}: out of memory"):
            ask(backend, 80)
    rig.cuda.fails = {}
    ask(backend, 1)
    assert (rig.cuda.used, len(rig.cuda.host), len(rig.cuda.device), rig.library.contexts) == held
    backend.close()
    assert rig.cuda.is_clean


def test_contexts_that_fail_leave_nothing_behind(rig: Rig) -> None:
    backend = rig.backend()
    for _ in range(4):
        rig.library.context_refusals = ["Cuda Runtime (out of memory)"] * 3
        with pytest.raises(EngineFailedError, match=r"\(Cuda Runtime \(out of memory\)\)"):
            ask(backend, 80)
    rig.library.context_refusals = []
    assert len(rig.cuda.host) == len(rig.cuda.device) - 1 == 0, "the smallest shape made room in vain"
    assert ask(backend, 80).shape == (1, 10)
    backend.close()
    assert rig.cuda.is_clean


@pytest.mark.parametrize("shapes", [1, 2, 4])
def test_the_shapes_that_were_not_used_for_longest_make_room(rig: Rig, shapes: int) -> None:
    rig.cuda.limit = WEIGHTS + SCRATCH + shapes * CONTEXT + 9_000
    backend = rig.backend()
    for _ in range(2):
        for length in LENGTHS:
            assert ask(backend, length).shape == (1, 10)
            assert 1 <= rig.library.contexts <= shapes
    backend.close()
    assert rig.cuda.is_clean


def test_memory_that_runs_out_while_computing_makes_room_as_well(rig: Rig) -> None:
    backend = rig.backend()
    ask(backend, 80)

    class OnceError(RuntimeError):
        """Goes away when it was seen."""

        def __str__(self) -> str:
            rig.library.raises = {}
            return "CUDA error 2: out of memory"

    rig.library.raises = {"execute_async_v3": OnceError()}
    assert ask(backend, 200).shape == (1, 10)
    assert rig.library.contexts == 2, "of three shapes the oldest went"
    backend.close()


def test_at_most_so_many_shapes_are_kept(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trt, "MOST_SHAPES", 2)
    backend = rig.backend()
    for length in (1, 50, 1, 80, 1, 50):
        ask(backend, length)
    assert rig.library.contexts == len(rig.cuda.executables) == 2
    assert len(rig.cuda.host) == 8
    backend.close()


@pytest.mark.parametrize("limit", [WEIGHTS // 2, WEIGHTS + SCRATCH // 2, WEIGHTS + SCRATCH + CONTEXT // 2])
def test_a_gpu_too_small_for_the_plan(rig: Rig, limit: int) -> None:
    rig.cuda.limit = limit
    with pytest.raises(EngineUnavailableError, match=r"memory does not suffice for the plan .*narrower precision"):
        rig.backend()
    assert rig.cuda.is_clean


class Bytes(bytearray):
    """A plan's bytes that can be watched."""


def test_the_plans_bytes_are_gone_before_a_context_is_made(rig: Rig) -> None:
    alive: list[weakref.ref[Bytes]] = []
    seen: list[bool] = []

    def obtain() -> LoadablePlan:
        content = Bytes(PLAN)
        alive.append(weakref.ref(content))
        return LoadablePlan(memoryview(content), PROFILES, ())

    def watch(call: str) -> None:
        if call == "create_execution_context":
            seen.append(alive[0]() is None)

    rig.library.check = watch  # type: ignore[method-assign]
    rig.backend(obtain=obtain).close()
    assert seen == [True]


def test_an_error_that_is_kept_keeps_no_plan(rig: Rig) -> None:
    alive: list[weakref.ref[Bytes]] = []

    def obtain() -> LoadablePlan:
        content = Bytes(b"another plan")
        alive.append(weakref.ref(content))
        return LoadablePlan(memoryview(content), PROFILES, ())

    with pytest.raises(EngineUnavailableError) as kept:
        rig.backend(obtain=obtain)
    assert kept.value.__traceback__ is not None
    assert alive[0]() is None
