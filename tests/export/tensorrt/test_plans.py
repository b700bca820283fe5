"""TensorRT-RTX plans without a GPU: every precision, byte for byte the same again, targets chosen and refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from rim_export.errors import TargetError
from rim_export.recipes.recipe import Recipe
from rim_export.tensorrt.plans import build_variant_plans, estimate
from rim_export.tensorrt.targets import DEFAULT, Target, choose_targets, supporting
from rim_runtime.bundle.folder import Bundle, sha256_file
from rim_runtime.bundle.manifest import Compute, Limits, Precision, Variant
from rim_runtime.errors import EngineUnavailableError
from rim_runtime.libraries.tensorrt import Library, TensorRt, import_tensorrt, is_installed
from rim_runtime.tensorrt.build import build_plan, default_profiles

from tests.export.gpu_graphs import Source, at_1_7b, two_layers

PRECISIONS = ("fp16", "bf16", "int8", "fp8", "int4", "nvfp4")
SECONDS, RESIDENT = 120, 4 << 30
"""What a plan of four layers of 1.7B may take, on two cores."""


@pytest.fixture(scope="module")
def rtx() -> TensorRt:
    if not is_installed(Library.RTX):
        pytest.skip("tensorrt_rtx is not installed: plans are NOT tested here. pip install 'rim-edge[trt]'")
    return import_tensorrt(Library.RTX, "Testing")


@pytest.fixture(scope="module")
def source() -> Source:
    return two_layers()


def variant_of(recipe: Recipe, source: Source, folder: Path) -> tuple[Bundle, Variant]:
    """Write a graph as the exporter does, with as much of a bundle around it as a plan needs."""
    graph = source.write(recipe, folder)
    variant = Variant(
        recipe.name,
        recipe.precision,
        source.weights.head,
        graph.name,
        f"{graph.name}.data",
        compute=recipe.compute,
    )
    return Bundle(folder, _Draft(Limits(400, 440, 440))), variant  # type: ignore[arg-type]


class _Draft:
    """The one thing of a manifest that building looks at."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits


def test_which_targets_have_what() -> None:
    every = tuple(Target)
    expected = {
        Precision.FP16: every,
        Precision.INT8: every,
        Precision.BF16: every[1:],
        Precision.INT4: every[1:],
        Precision.FP8: every[3:],
        Precision.NVFP4: every[4:],
    }
    own = {Precision.BF16: Compute.BF16}
    found = {one: supporting(one, own.get(one, Compute.FP16)) for one in expected}
    assert found == expected
    assert supporting(Precision.INT8, Compute.BF16) == every[1:]


def test_default_targets_name_what_is_dropped() -> None:
    fp8 = choose_targets((), Precision.FP8, Compute.FP16)
    assert (fp8.targets, fp8.dropped) == ((Target.SM_89, Target.SM_120), (Target.SM_86,))
    assert choose_targets((), Precision.NVFP4, Compute.FP16).dropped == (Target.SM_86, Target.SM_89)
    assert choose_targets((), Precision.INT8, Compute.FP16).targets == DEFAULT
    assert choose_targets(("sm_120", "sm_89"), Precision.FP8, Compute.FP16).targets == ("sm_89", "sm_120")


@pytest.mark.parametrize(
    ("asked", "precision", "named"), [("sm_86", "fp8", "sm_89, sm_120, sm_121"), ("sm_90", "int8", "sm_75, sm_80")]
)
def test_impossible_targets_are_refused(asked: str, precision: str, named: str) -> None:
    with pytest.raises(TargetError, match=f"cannot build {precision} in fp16 arithmetic for {asked}, .*{named}"):
        choose_targets(("sm_120", asked), Precision(precision), Compute.FP16)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_plans_are_built_and_rebuilt_byte_for_byte(
    precision: str, source: Source, rtx: TensorRt, tmp_path: Path
) -> None:
    recipe = source.recipe(precision)
    bundle, variant = variant_of(recipe, source, tmp_path)
    targets = choose_targets((), recipe.precision, recipe.compute).targets
    told: list[tuple[str, float]] = []
    (plan,) = build_variant_plans(bundle, variant, targets, lambda text, share: told.append((text, share)))
    path = tmp_path / plan.file
    assert plan.file == f"model.{recipe.name}.tensorrt-rtx-{rtx.version}.{'+'.join(targets)}.plan"
    assert (plan.bytes, plan.sha256) == (path.stat().st_size, sha256_file(path))
    assert (plan.library, plan.library_version, plan.variant) == ("tensorrt-rtx", rtx.version, recipe.name)
    assert plan.profiles == default_profiles(bundle.manifest.limits)
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] == pytest.approx(1)
    assert "s and" in told[0][0]
    again = build_plan(rtx, tmp_path / variant.graph, targets, plan.profiles)
    assert again == path.read_bytes()


@pytest.mark.parametrize(
    ("precision", "target"), [("fp8", "sm_86"), ("int4", "sm_75"), ("nvfp4", "sm_89"), ("bf16", "sm_75")]
)
def test_the_library_refuses_what_the_table_refuses(
    precision: str, target: str, source: Source, rtx: TensorRt, tmp_path: Path
) -> None:
    graph = source.write(source.recipe(precision), tmp_path)
    with pytest.raises(EngineUnavailableError, match="HW-specific datatypes"):
        build_plan(rtx, graph, (target,), default_profiles(Limits(400, 440, 440)))


@pytest.mark.parametrize(("precision", "target"), [("fp16", "sm_75"), ("int8", "sm_75"), ("int4", "sm_80")])
def test_the_library_builds_for_the_first_target(
    precision: str, target: str, source: Source, rtx: TensorRt, tmp_path: Path
) -> None:
    graph = source.write(source.recipe(precision), tmp_path)
    assert build_plan(rtx, graph, (target,), default_profiles(Limits(128, 168, 168)))


def test_estimates_grow_with_the_weights() -> None:
    small, large = estimate(10_000_000, 3), estimate(2_000_000_000, 3)
    assert small.seconds < large.seconds < 180
    assert small.memory_bytes < 1e9 < large.memory_bytes
    assert str(small).startswith("about ")


MEASURED = """
import re, sys, time
from pathlib import Path
from rim_runtime.bundle.manifest import Limits
from rim_runtime.tensorrt.build import build_plan, default_profiles
from rim_runtime.libraries.tensorrt import Library, import_tensorrt
library = import_tensorrt(Library.RTX, "Testing")
started = time.perf_counter()
plan = build_plan(library, Path(sys.argv[1]), sys.argv[2:], default_profiles(Limits(2008, 2048, 2048)))
seconds = time.perf_counter() - started
peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]  # ru_maxrss starts at the parent's
print(seconds, int(peak) * 1024, plan.nbytes)
"""


@pytest.fixture(scope="module")
def four_layers() -> Source:
    return at_1_7b(4)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp16", "int8", "fp8", "int4"])
def test_four_layers_of_1_7b(
    precision: str,
    four_layers: Source,
    rtx: TensorRt,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Time, memory and size of a build at a real geometry; numbers of the weights do not matter to it."""
    from rim_export.recipes import blocks

    monkeypatch.setattr(blocks, "_DIVISORS", (7.0,))  # no search for better scales
    graph = four_layers.write(four_layers.recipe(precision), tmp_path)
    data = Path(f"{graph}.data").stat().st_size
    targets = choose_targets((), Precision(precision), Compute.FP16).targets
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(graph), *targets],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    seconds, resident, size = map(float, done.stdout.split())
    print(
        f"{precision}: {seconds:.1f} s, {resident / 1e9:.2f} GB, plan {size / 1e6:.0f} MB of {data / 1e6:.0f} MB"
    )
    assert seconds < SECONDS
    assert resident < RESIDENT
    assert size < data * 1.1 + 60e6
    expected = estimate(data, 3)
    assert expected.memory_bytes / 2 < resident < expected.memory_bytes * 1.5
    graph.unlink()
    Path(f"{graph}.data").unlink()
