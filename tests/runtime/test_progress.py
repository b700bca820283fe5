"""What slow steps say of themselves: which stage, how much of it, in which unit."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest
from rim_runtime import Bundle, Engine, Progress, Stage
from rim_runtime.bundle import integrity, source
from rim_runtime.bundle.copying import copy_bundle
from rim_runtime.engines import gpu_engines, trt
from rim_runtime.libraries import tensorrt
from rim_runtime.libraries.tensorrt import Library, TensorRt
from rim_runtime.machine import open_file
from rim_runtime.machine.gpu import Gpu, Gpus
from rim_runtime.tensorrt import build

DATA = "model.fp32.onnx.data"
PART = 16


@pytest.fixture
def bundle(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """A bundle whose every file is large."""
    monkeypatch.setattr(integrity, "HASH_EVERY_TIME", 0)
    monkeypatch.setattr(open_file, "_AT_ONCE", PART)
    monkeypatch.setattr(source, "AT_ONCE", PART)
    return Bundle.load(tiny_bundle)


def by_file(told: list[Progress]) -> dict[str, list[int | None]]:
    """Return what was counted of each file, by the line for people."""
    counted: dict[str, list[int | None]] = {}
    for step in told:
        counted.setdefault(step.text, []).append(step.done)
    return counted


def parts(size: int) -> list[int]:
    return [*range(0, size, PART), size]


def test_a_load_counts_bytes_and_then_questions(bundle: Bundle) -> None:
    told: list[Progress] = []
    Engine.load(bundle.path, progress=told.append).close()
    size = bundle.manifest.files[DATA].bytes
    assert size > 2 * PART
    hashed = [step for step in told if step.text.startswith(f"checking {DATA}")]
    assert [step.done for step in hashed] == parts(size)
    assert {(step.stage, step.total) for step in hashed} == {(Stage.HASH, size)}
    assert [step.share for step in hashed][:: len(hashed) - 1] == [0.0, 1.0]
    assert told[-4:] == [
        Progress(Stage.SELF_TEST, number, 4, f"self-test {number + 1} of 4, once for this bundle on this machine")
        for number in range(4)
    ]
    assert {step.stage for step in told} == {Stage.HASH, Stage.SELF_TEST}
    with pytest.raises(dataclasses.FrozenInstanceError):
        told[0].done = 1  # type: ignore[misc]


def test_checking_and_copying_count_each_file(bundle: Bundle, tmp_path: Path) -> None:
    files = bundle.manifest.files
    told: list[Progress] = []
    bundle.verify(told.append)
    assert by_file(told) == {f"hashing {name}": parts(entry.bytes) for name, entry in files.items()}
    assert {step.stage for step in told} == {Stage.HASH}
    told.clear()
    copy_bundle(bundle, tmp_path / "copy", told.append)
    assert by_file(told) == {f"copying {name}": parts(entry.bytes) for name, entry in files.items()}
    assert {step.stage for step in told} == {Stage.COPY}


def test_a_plan_counts_percent(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu(0, "RTX", (8, 9), 24_000_000_000)
    monkeypatch.setattr(
        gpu_engines.gpu, "look", lambda: Gpus(driver="580", cuda=(13, 0), gpus=(gpu,), trouble=None)
    )
    monkeypatch.setattr(tensorrt, "is_installed", lambda library: library is Library.RTX)
    monkeypatch.setattr(gpu_engines, "_has_cuda_python", lambda: True)
    fake = SimpleNamespace(__version__="1.7.1.116")
    monkeypatch.setattr(tensorrt, "import_tensorrt", lambda library, what: TensorRt(library, fake))
    monkeypatch.setattr(trt, "TrtBackend", lambda graph, library, obtain, **_: obtain())

    def in_quarters(*given: object) -> memoryview:
        report = given[-1]
        assert callable(report)
        for quarter in range(1, 5):
            report(quarter / 4)
        return memoryview(b"plan")

    monkeypatch.setattr(build, "build_plan", in_quarters)
    told: list[Progress] = []
    bundle = Bundle.load(tiny_bundle)
    gpu_engines.open_trt(bundle, bundle.manifest.variants[0], told.append)
    text = "building a plan of fp32 for RTX, once"
    assert told == [Progress(Stage.BUILD_PLAN, done, 100, text) for done in (0, 25, 50, 75, 100)]


@pytest.mark.parametrize(
    ("done", "total", "share"), [(None, None, None), (1, 4, 0.25), (0, 0, 1.0), (5, 4, 1.0), (1, None, None)]
)
def test_the_share(done: int | None, total: int | None, share: float | None) -> None:
    assert Progress(Stage.LOAD, done, total, "loading").share == share
