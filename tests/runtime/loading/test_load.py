"""Loading: what is checked, what is remembered, and what a load refuses to do."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import (
    Bundle,
    BundleCorruptError,
    BundleNotFoundError,
    Engine,
    InputError,
    Progress,
    RimError,
    SelfTestError,
)
from rim_runtime.bundle import integrity
from rim_runtime.loading import selftest
from rim_runtime.testing import fake_engine

from tests.places import DEMO_FOLDER

MakeBundle = Callable[..., Path]


GRAPH = "model.fp32.onnx"


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def started(told: list[Progress], text: str) -> int:
    return sum(step.text.startswith(text) and step.done == 0 for step in told)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"engine": "gpu"}, InputError, "There is no engine 'gpu', expected one of auto, ort-cpu"),
        ({"precision": "int3"}, InputError, "There is no precision 'int3', expected one of fp32, bf16"),
        ({"precision": "int8"}, BundleNotFoundError, "has no int8 variant, it has fp32"),
        ({"threads": 0}, InputError, "Got 0 threads, expected 1 to "),
        ({"threads": 10**6}, InputError, "Got 1000000 threads, expected 1 to "),
        ({"threads": True}, InputError, "threads is True, expected a whole number from 1 to "),
        ({"threads": 1.5}, InputError, "threads is 1.5, expected a whole number from 1 to "),
        ({"threads": "2"}, InputError, "threads is '2', expected a whole number from 1 to "),
        ({"answers": "nope"}, InputError, "answers is 'nope', expected one of: one, many."),
        ({"answers": 1}, InputError, "answers is 1, expected one of: one, many."),
        ({"cancel": 5}, InputError, "cancel is 5, expected a Cancellation, or None."),
        ({"cancel": "no"}, InputError, "cancel is 'no', expected a Cancellation, or None."),
    ],
)
def test_bad_wishes(tiny_bundle: Path, options: dict[str, Any], error: type[RimError], message: str) -> None:
    with pytest.raises(error) as caught:
        Engine.load(tiny_bundle, **options)
    assert message in str(caught.value)


def test_the_precision_chooses_the_variant(make_bundle: MakeBundle) -> None:
    bundle = make_bundle(precisions=("fp32", "int8"))
    for wish, ran in ((None, "fp32"), ("fp32", "fp32"), ("int8", "int8")):
        with Engine.load(bundle, precision=wish) as engine:
            assert (engine.precision, engine.ask("Why?").precision) == (ran, ran)


def test_an_unused_variant_is_not_hashed_but_verify_finds_it(make_bundle: MakeBundle) -> None:
    bundle = make_bundle(precisions=("fp32", "int8"))
    flip(bundle / "model.int8.onnx.data")
    Engine.load(bundle).close()
    with pytest.raises(BundleCorruptError, match=r"model\.int8\.onnx\.data was altered"):
        Bundle.load(bundle).verify()


def test_files_that_are_not_listed_are_named_and_ignored(tiny_bundle: Path) -> None:
    (tiny_bundle / "notes.txt").write_text("mine")
    Engine.load(tiny_bundle).close()
    assert Bundle.load(tiny_bundle).unlisted_files() == ("notes.txt",)


def test_auto_is_an_engine_that_says_its_name(tiny_bundle: Path) -> None:
    with Engine.load(str(tiny_bundle), engine="auto", threads=1) as engine:
        assert engine.name == "ort-cpu"
        assert engine.ask("Why?").engine == "ort-cpu"
        assert engine.bundle == "tiny"
        assert engine.notes == ()


def test_the_self_test_runs_once(tiny_bundle: Path) -> None:
    told: list[Progress] = []
    Engine.load(tiny_bundle, progress=told.append).close()
    assert told[0].text == "self-test 1 of 4, once for this bundle on this machine"
    assert len(told) == 4
    Engine.load(tiny_bundle, progress=told.append).close()
    assert len(told) == 4


def test_another_release_tests_again(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Progress] = []
    Engine.load(tiny_bundle).close()
    monkeypatch.setattr(selftest, "__version__", "9.9.9")
    Engine.load(tiny_bundle, progress=told.append).close()
    assert len(told) == 4


def test_a_failed_self_test_names_the_count_and_the_fallback(make_bundle: MakeBundle) -> None:
    one = make_bundle("one", golden_letter="J")
    with pytest.raises(SelfTestError) as caught:
        Engine.load(one)
    assert "golden questions were answered differently here by ort-cpu at fp32" in str(caught.value)
    assert "of 4" in str(caught.value)
    two = make_bundle("two", golden_letter="J", precisions=("int8", "fp32"))
    with pytest.raises(SelfTestError, match=r"Use this bundle's fp32 variant \(--precision fp32\)"):
        Engine.load(two)
    with pytest.raises(SelfTestError):
        Engine.load(one)


def test_nan_fails_the_self_test(make_bundle: MakeBundle) -> None:
    with pytest.raises(SelfTestError, match="4 of 4 golden questions"):
        Engine.load(make_bundle(nan=True, golden_letter="A"))


def test_the_self_test_stops_at_its_budget(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "BUDGET_S", 0.0)
    with Engine.load(tiny_bundle) as engine:
        assert engine.notes == ("The self-test had time for 1 of 4 golden questions; all agreed.",)


def test_a_cache_that_cannot_be_written_is_said(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("RIM_EDGE_HOME", str(blocked))
    told: list[Progress] = []
    for _ in range(2):
        with Engine.load(tiny_bundle, progress=told.append) as engine:
            (note,) = engine.notes
            assert f"The cache folder {blocked / 'cache'} cannot be written" in note
            assert "tested at every load" in note
    assert len(told) == 8


def test_large_files_are_hashed_once_while_they_look_the_same(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tiny_bundle / f"{GRAPH}.data"
    monkeypatch.setattr(integrity, "HASH_EVERY_TIME", data.stat().st_size)
    monkeypatch.setattr(integrity, "_SETTLED_S", -1.0)
    monkeypatch.setattr(integrity, "keeps_times", lambda device: True)
    hashed: list[str] = []
    original = Bundle.check_hash
    monkeypatch.setattr(Bundle, "check_hash", lambda self, *a: (hashed.append(a[0]), original(self, *a))[1])
    Engine.load(tiny_bundle).close()
    assert data.name in hashed
    hashed.clear()
    Engine.load(tiny_bundle).close()
    assert data.name not in hashed
    assert "LICENSE" in hashed
    flip(data)
    with pytest.raises(BundleCorruptError, match="was altered"):
        Engine.load(tiny_bundle)


def test_a_file_that_just_changed_is_not_remembered(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integrity, "HASH_EVERY_TIME", 0)
    told: list[Progress] = []
    for _ in range(2):
        Engine.load(tiny_bundle, progress=told.append).close()
    assert started(told, f"checking {GRAPH}.data") == 2


def test_a_file_dated_in_the_future_is_remembered(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integrity, "HASH_EVERY_TIME", 0)
    monkeypatch.setattr(integrity, "keeps_times", lambda device: True)
    an_hour_ago = time.time() - 3600
    monkeypatch.setattr(integrity.time, "time", lambda: an_hour_ago)  # the clock was set back
    told: list[Progress] = []
    for _ in range(2):
        Engine.load(tiny_bundle, progress=told.append).close()
    assert started(told, f"checking {GRAPH}.data") == 1


def test_a_failed_load_leaves_no_session_behind(make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    from rim_runtime.engines.ort_cpu import OrtCpuBackend

    closed: list[bool] = []
    bundle = make_bundle(golden_letter="J")
    monkeypatch.setattr(OrtCpuBackend, "close", lambda self: closed.append(True))
    with pytest.raises(SelfTestError):
        Engine.load(bundle)
    assert closed == [True]


def test_an_engine_knows_its_bundles_certificate(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DEMO_FOLDER, tmp_path / "demo"))
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", folder)
    for place in (folder, packed):
        with Engine.load(place) as engine:
            assert engine.certificate == Bundle.load(folder).certificate()
    assert fake_engine().certificate == {}
