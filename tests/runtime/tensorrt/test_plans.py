"""Plans are code: which are loaded, which are refused and why, and what is built and kept instead."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from rim_runtime import Bundle, BundleCorruptError, EngineUnavailableError, InputError
from rim_runtime.bundle.folder import save_manifest
from rim_runtime.bundle.manifest import FileEntry, Limits, Plan, Profile
from rim_runtime.bundle.trust import is_trusted, trust, untrust
from rim_runtime.libraries.tensorrt import Library, TensorRt, import_tensorrt
from rim_runtime.machine.folders import plans_folder
from rim_runtime.tensorrt.build import build_plan, default_profiles
from rim_runtime.tensorrt.plan_cache import PLAN
from rim_runtime.tensorrt.plans import LoadablePlan, PlanRequirements, obtain_plan, refusal

MakeBundle = Callable[..., Path]
HERE = PlanRequirements("tensorrt-rtx", "1.7.1.116", "linux-x86_64", "sm_89")
SHIPPED = b"a plan that came with the bundle"
PROFILES = (Profile(1, 512, 4),)


def with_plan(path: Path, **changes: object) -> Bundle:
    """Put a plan into a bundle, as the exporter does; `changes` to its entry."""
    bundle = Bundle.load(path)
    manifest, variant = bundle.manifest, bundle.manifest.variants[0]
    (path / "model.sm_89.plan").write_bytes(SHIPPED)
    entry = FileEntry(len(SHIPPED), hashlib.sha256(SHIPPED).hexdigest())
    plan = Plan(
        file="model.sm_89.plan",
        sha256=entry.sha256,
        bytes=entry.bytes,
        variant=variant.name,
        graph_sha256=manifest.graph_sha256(variant),
        library=HERE.library,
        library_version=HERE.version,
        platform=HERE.platform,
        targets=("sm_86", "sm_89"),
        profiles=PROFILES,
    )
    plan = dataclasses.replace(plan, **changes)  # type: ignore[arg-type]
    files = {**manifest.files, plan.file: entry}
    save_manifest(path, dataclasses.replace(manifest, files=files, plans=(plan,)))
    return Bundle.load(path)


class Builder:
    """Builds plans that tell them apart, and counts."""

    def __init__(self) -> None:
        self.built = 0

    def __call__(self, graph: Path, profiles: Sequence[Profile]) -> bytes:
        assert graph.is_file() and profiles == PROFILES
        self.built += 1
        return b"built here, number %d" % self.built


def obtain(bundle: Bundle, build: Builder, here: PlanRequirements = HERE) -> LoadablePlan:
    return obtain_plan(bundle, bundle.manifest.variants[0], here, PROFILES, build)


def test_where_a_plan_comes_from_is_logged(tiny_bundle: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="rim_runtime"):
        for _ in range(2):
            obtain(Bundle.load(tiny_bundle), Builder())
        bundle = with_plan(tiny_bundle)
        trust(bundle.manifest)
        obtain(bundle, Builder())
    told = [record.getMessage() for record in caplog.records]
    assert re.fullmatch(r"plan for sm_89: built in \d+\.\d s, 20 bytes", told[0])
    assert told[1:] == [
        f"plan for sm_89: from {plans_folder()}",
        "plan for sm_89: the bundle's own, model.sm_89.plan",
    ]


def never(graph: Path, profiles: Sequence[Profile]) -> bytes:
    raise AssertionError("nothing was to be built")


def test_a_trusted_plan_is_loaded(tiny_bundle: Path) -> None:
    bundle = with_plan(tiny_bundle)
    trust(bundle.manifest)
    assert obtain_plan(bundle, bundle.manifest.variants[0], HERE, (), never) == LoadablePlan(SHIPPED, PROFILES, ())


def test_an_untrusted_plan_is_built_anew_once(tiny_bundle: Path) -> None:
    bundle, build = with_plan(tiny_bundle), Builder()
    first = obtain(bundle, build)
    assert first.content == b"built here, number 1"
    (note,) = first.notes
    assert note.startswith(
        "A plan for this GPU was built, because the bundle's own cannot be used here (model.sm_89"
    )
    assert f"not told to trust it; if you do: rim-edge bundle trust {tiny_bundle})" in note
    assert obtain(bundle, build) == LoadablePlan(b"built here, number 1", PROFILES, ())
    assert build.built == 1


@pytest.mark.parametrize(
    ("changes", "here", "why"),
    [
        ({"graph_sha256": "0" * 64}, {}, "it was built from another graph"),
        ({"library_version": "1.6.1.120"}, {}, "built by tensorrt-rtx 1.6.1.120, here is tensorrt-rtx 1.7.1.116"),
        ({}, {"library": "tensorrt", "version": "11.4.0.106"}, "here is tensorrt 11.4.0.106"),
        ({"platform": "win32-x86_64"}, {}, "it was built for win32-x86_64, this is linux-x86_64"),
        ({}, {"target": "sm_120"}, "it was built for sm_86, sm_89, this GPU is sm_120"),
    ],
)
def test_a_plan_that_does_not_fit_is_never_tried(
    tiny_bundle: Path, changes: dict[str, object], here: dict[str, str], why: str
) -> None:
    bundle = with_plan(tiny_bundle, **changes)
    trust(bundle.manifest)
    place = dataclasses.replace(HERE, **here)
    reason = refusal(bundle, bundle.manifest.plans[0], place)
    assert reason and why in reason
    found = obtain(bundle, Builder(), place)
    assert found.content == b"built here, number 1"
    assert why in found.notes[0]


def test_an_altered_plan_is_refused_before_anything_loads_it(tiny_bundle: Path) -> None:
    bundle = with_plan(tiny_bundle)
    trust(bundle.manifest)
    (tiny_bundle / "model.sm_89.plan").write_bytes(SHIPPED[::-1])
    with pytest.raises(BundleCorruptError, match=r"was altered: its SHA-256 is .* It was not loaded"):
        obtain_plan(bundle, bundle.manifest.variants[0], HERE, (), never)


def test_trust_ends_with_the_bundle_it_was_given_to(tiny_bundle: Path) -> None:
    bundle = with_plan(tiny_bundle)
    trust(bundle.manifest)
    assert is_trusted(bundle.manifest)
    (tiny_bundle / "LICENSE").write_text("another\n", encoding="utf-8")
    entry = FileEntry(8, hashlib.sha256(b"another\n").hexdigest())
    files = {**bundle.manifest.files, "LICENSE": entry}
    save_manifest(tiny_bundle, dataclasses.replace(bundle.manifest, files=files))
    assert not is_trusted(Bundle.load(tiny_bundle).manifest)
    assert untrust(bundle.manifest)
    assert not is_trusted(bundle.manifest)
    assert not untrust(bundle.manifest)


def test_a_damaged_list_trusts_nothing(tiny_bundle: Path, own_home: Path) -> None:
    bundle = with_plan(tiny_bundle)
    trust(bundle.manifest)
    (own_home / "trusted.json").write_text("{", encoding="utf-8")
    assert not is_trusted(bundle.manifest)
    with pytest.raises(InputError, match=r"trusted\.json cannot be read .* Delete it"):
        trust(bundle.manifest)


@pytest.mark.parametrize("change", [{"target": "sm_120"}, {"version": "1.8.0.1"}, {"platform": "win32-x86_64"}])
def test_a_kept_plan_belongs_to_what_it_was_built_for(tiny_bundle: Path, change: dict[str, str]) -> None:
    bundle, build = Bundle.load(tiny_bundle), Builder()
    obtain(bundle, build)
    obtain(bundle, build, dataclasses.replace(HERE, **change))
    assert build.built == 2


@pytest.mark.parametrize("damage", ["plan", "entry"])
def test_a_kept_plan_that_was_altered_is_built_again(tiny_bundle: Path, own_home: Path, damage: str) -> None:
    bundle, build = Bundle.load(tiny_bundle), Builder()
    obtain(bundle, build)
    (kept,) = (own_home / "cache" / "plans").iterdir()
    (kept / (PLAN if damage == "plan" else "entry.json")).write_text("{}", encoding="utf-8")
    assert obtain(bundle, build).content == b"built here, number 2"
    assert obtain(bundle, build).content == b"built here, number 2"


def test_a_cache_that_cannot_be_written_is_said(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RIM_EDGE_HOME", str(tmp_path / "file"))
    build = Builder()
    for number in (1, 2):
        found = obtain(Bundle.load(tiny_bundle), build)
        assert build.built == number
        assert "it cannot be kept, so the next load builds it again" in found.notes[0]


@pytest.mark.usefixtures("no_home")
def test_without_a_home_a_plan_is_built_each_time(tiny_bundle: Path) -> None:
    build = Builder()
    for number in (1, 2):
        found = obtain(with_plan(tiny_bundle) if number == 1 else Bundle.load(tiny_bundle), build)
        assert build.built == number
        assert found.notes[0].endswith("Set RIM_EDGE_HOME to a folder, as an absolute path.")


@pytest.mark.parametrize(
    ("limit", "spans"),
    [
        (2008, [(1, 128, 32), (129, 512, 8), (513, 2008, 2)]),
        (512, [(1, 128, 32), (129, 512, 8)]),
        (60, [(1, 60, 32)]),
    ],
)
def test_profiles_reach_from_one_token_to_the_limit(limit: int, spans: list[tuple[int, int, int]]) -> None:
    profiles = default_profiles(Limits(limit, limit + 40, limit + 40))
    assert [(p.least_length, p.most_length, p.most_batch) for p in profiles] == spans


@pytest.fixture(scope="module")
def rtx() -> TensorRt:
    pytest.importorskip("tensorrt_rtx", reason="needs the extra [trt]", exc_type=ImportError)
    return import_tensorrt(Library.RTX, "This test")


def test_the_real_builder_builds_the_same_twice_without_a_gpu(tiny_bundle: Path, rtx: TensorRt) -> None:
    graph = tiny_bundle / "model.fp32.onnx"
    profiles = default_profiles(Limits(2008, 2048, 2048))
    plans = [build_plan(rtx, graph, ("sm_86", "sm_89"), profiles) for _ in range(2)]
    assert plans[0] == plans[1]
    assert len(plans[0]) > 1000


def test_what_the_real_builder_refuses(tiny_bundle: Path, rtx: TensorRt) -> None:
    (tiny_bundle / "model.fp32.onnx").write_bytes(b"no graph")
    with pytest.raises(
        EngineUnavailableError, match=r"tensorrt-rtx 1\.7\.1\.116 cannot build .*model\.fp32\.onnx"
    ):
        build_plan(rtx, tiny_bundle / "model.fp32.onnx", ("sm_89",), PROFILES)
