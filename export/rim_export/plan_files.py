"""TensorRT plans in a bundle: built from its 16-bit graphs, for GPUs that need not be here.

TensorRT-RTX builds one file for all targets. The classic library, where it is installed beside a GPU, adds one for
that GPU. Same graph, targets, profiles and release: the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import onnx_ir as ir
from rim_runtime.bundle import Bundle, sha256_file
from rim_runtime.gpu import look
from rim_runtime.manifest import FileEntry, Plan, Profile, Variant, graph_sha256
from rim_runtime.plan_build import build_buffer, default_profiles
from rim_runtime.tensor_rt import Library, TensorRt, import_tensorrt, is_installed, platform_name

from rim_export.linter import require_legal

Progress = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done, 0..1."""

SECONDS_EACH, SECONDS_PER_GB = 1.5, 2.5
"""Of a profile: what it takes by itself, and for each GB of weights."""
MEMORY_PER_BYTE, MEMORY_LEAST = 3.5, 400_000_000
"""Peak memory by the weights' bytes, and the library's own."""


@dataclass(frozen=True)
class Estimate:
    """What a build will take, from the weights' bytes; measured once on two cores (docs/tensorrt.md)."""

    seconds: float
    """Time."""
    memory_bytes: int
    """Peak resident memory."""

    def __str__(self) -> str:
        return f"about {max(self.seconds, 1):,.0f} s and {self.memory_bytes / 1e9:,.1f} GB of memory"


def estimate(weight_bytes: int, profiles: int) -> Estimate:
    """Estimate the build of one plan."""
    seconds = profiles * (SECONDS_EACH + SECONDS_PER_GB * weight_bytes / 1e9)
    return Estimate(seconds, int(MEMORY_LEAST + MEMORY_PER_BYTE * weight_bytes))


def build_plans(bundle: Bundle, variant: Variant, targets: Sequence[str], tell: Progress) -> tuple[Plan, ...]:
    """Build the plans of a variant whose files are in the bundle's folder, and write them beside it.

    Raises GraphRuleError, MissingExtraError and EngineUnavailableError.
    """
    require_legal(ir.load(bundle.path / variant.graph), variant.name)
    profiles = default_profiles(bundle.manifest.limits)
    expected = estimate((bundle.path / variant.data).stat().st_size, len(profiles))
    content = graph_sha256(_entry(bundle.path / variant.graph), _entry(bundle.path / variant.data))
    plans = []
    for tensorrt, built_for in _builders(targets):
        label = f"Building a {tensorrt.library} plan of {variant.name}, {expected}"
        tell(label, 0.0)
        graph = bundle.path / variant.graph
        plan = build_buffer(tensorrt, graph, built_for, profiles, partial(tell, label))
        plans.append(_write(bundle.path, variant, tensorrt, built_for, (plan, profiles, content)))
    return tuple(plans)


def require_builder() -> None:
    """Raise MissingExtraError or EngineUnavailableError unless TensorRT-RTX can build here."""
    import_tensorrt(Library.RTX, "Building TensorRT plans")


def _builders(targets: Sequence[str]) -> list[tuple[TensorRt, tuple[str, ...]]]:
    """Return each library that can build here, and what for."""
    found = [(import_tensorrt(Library.RTX, "Building TensorRT plans"), tuple(targets))]
    here = look().first if is_installed(Library.CLASSIC) else None
    if here:
        found.append((import_tensorrt(Library.CLASSIC, "Building TensorRT plans"), (here.target,)))
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
