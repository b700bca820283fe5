"""TensorRT plans in a bundle: built from its 16-bit graphs, for GPUs that this machine need not have.

TensorRT-RTX builds one file for all targets. The classic library, if it is installed on a machine with a GPU, adds
one for that GPU. The same graph, targets, profiles and release give the same bytes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import onnx_ir as ir
from rim_runtime.bundle.folder import Bundle, sha256_file
from rim_runtime.bundle.manifest import Compute, FileEntry, Plan, Precision, Profile, Variant, graph_sha256
from rim_runtime.engines.names import EngineName
from rim_runtime.libraries.tensorrt import Library, TensorRt, import_tensorrt, is_installed, platform_name
from rim_runtime.machine.gpu import look
from rim_runtime.tensorrt.build import build_plan, default_profiles

from rim_export.progress import Progress
from rim_export.settings import ExportOptions
from rim_export.tensorrt.lint import require_legal
from rim_export.tensorrt.targets import TargetChoice, choose_targets

NEEDED_FOR = "Building TensorRT plans"
SECONDS_EACH, SECONDS_PER_GB = 1.5, 6.0
"""Build time per profile: a fixed part, and a part per GB of weights."""
MEMORY_PER_BYTE, MEMORY_LEAST = 3.5, 400_000_000
"""Peak memory per byte of weights, and the library's own memory in bytes."""


@dataclass(frozen=True)
class Estimate:
    """Estimated cost of a build, from the weights' size; measured at 28 layers on two cores (docs/tensorrt.md)."""

    seconds: float
    """Build time."""
    memory_bytes: int
    """Peak resident memory."""

    def __str__(self) -> str:
        return f"about {max(self.seconds, 1):,.0f} s and {self.memory_bytes / 1e9:,.1f} GB of memory"


def estimate(weight_bytes: int, profiles: int) -> Estimate:
    """Estimate the build of one plan."""
    seconds = profiles * (SECONDS_EACH + SECONDS_PER_GB * weight_bytes / 1e9)
    return Estimate(seconds, int(MEMORY_LEAST + MEMORY_PER_BYTE * weight_bytes))


@dataclass(frozen=True)
class PlanRequest:
    """The plans to build."""

    targets: tuple[str, ...]
    """GPUs that were asked for; empty: the default ones."""


@dataclass(frozen=True)
class BuiltPlans:
    """The plans that were built."""

    plans: tuple[Plan, ...]
    """Their manifest entries; the files are in the bundle's folder."""
    notes: tuple[str, ...]
    """Their targets, the targets left out, and the time the build took."""


def check_plan_request(options: ExportOptions) -> PlanRequest | None:
    """Return what the options ask for, or None if no plan; checked early, because plans are built last.

    Raises MissingExtraError, EngineUnavailableError and TargetError.
    """
    if options.engine is not EngineName.TRT:
        return None
    import_tensorrt(Library.RTX, NEEDED_FOR)
    own = {Precision.BF16: Compute.BF16}  # the others take fp16, if they can
    choose_targets(options.targets, options.precision, own.get(options.precision, Compute.FP16))
    return PlanRequest(options.targets)


def build_plans(
    bundle: Bundle, variants: Sequence[Variant], request: PlanRequest | None, tell: Progress
) -> BuiltPlans:
    """Build plans of the 16-bit variants, whose files are in the bundle's folder, and write them into it.

    Raises GraphRuleError, TargetError and EngineUnavailableError.
    """
    plans: list[Plan] = []
    notes: list[str] = []
    for variant in variants:
        if request and variant.compute is not Compute.FP32:
            choice = choose_targets(request.targets, variant.precision, variant.compute)
            started = time.perf_counter()
            plans += build_variant_plans(bundle, variant, choice.targets, tell)
            notes.append(_told(variant, choice, time.perf_counter() - started))
    return BuiltPlans(tuple(plans), tuple(notes))


def _told(variant: Variant, choice: TargetChoice, seconds: float) -> str:
    dropped = f"; {', '.join(choice.dropped)} left out, without {variant.precision}" if choice.dropped else ""
    experiment = " An experiment: nobody has run it." if variant.precision is Precision.NVFP4 else ""
    return (
        f"The plan of {variant.name} is for {', '.join(choice.targets)}{dropped}; built in {seconds:,.0f} s, and "
        f"not run: that takes such a GPU.{experiment}"
    )


def build_variant_plans(
    bundle: Bundle, variant: Variant, targets: Sequence[str], tell: Progress
) -> tuple[Plan, ...]:
    """Build the plans of one variant and write them into the bundle's folder. Raises what build_plans raises."""
    require_legal(ir.load(bundle.path / variant.graph), variant.name)
    profiles = default_profiles(bundle.manifest.limits)
    expected = estimate((bundle.path / variant.data).stat().st_size, len(profiles))
    content = graph_sha256(_entry(bundle.path / variant.graph), _entry(bundle.path / variant.data))
    plans = []
    for tensorrt, built_for in _builders(targets):
        label = f"Building a {tensorrt.library} plan of {variant.name}, {expected}"
        tell(label, 0.0)
        graph = bundle.path / variant.graph
        plan = build_plan(tensorrt, graph, built_for, profiles, partial(tell, label))
        plans.append(_write(bundle.path, variant, tensorrt, built_for, (plan, profiles, content)))
    return tuple(plans)


def _builders(targets: Sequence[str]) -> list[tuple[TensorRt, tuple[str, ...]]]:
    """Return each library that can build here, with its targets."""
    found = [(import_tensorrt(Library.RTX, NEEDED_FOR), tuple(targets))]
    here = look().first if is_installed(Library.CLASSIC) else None
    if here:
        found.append((import_tensorrt(Library.CLASSIC, NEEDED_FOR), (here.target,)))
    return found


def _write(
    folder: Path,
    variant: Variant,
    tensorrt: TensorRt,
    targets: tuple[str, ...],
    made: tuple[memoryview, tuple[Profile, ...], str],
) -> Plan:
    plan, profiles, content = made
    name = f"model.{variant.name}.{tensorrt.library}-{tensorrt.version}.{'+'.join(targets)}.plan"
    (folder / name).write_bytes(plan)
    entry = _entry(folder / name)
    return Plan(
        file=name,
        sha256=entry.sha256,
        bytes=entry.bytes,
        variant=variant.name,
        graph_sha256=content,
        library=tensorrt.library,
        library_version=tensorrt.version,
        platform=platform_name(),
        targets=targets,
        profiles=profiles,
    )


def _entry(path: Path) -> FileEntry:
    return FileEntry(path.stat().st_size, sha256_file(path))
