"""What this machine can run, and why it cannot run the rest: the facts behind `rim-edge doctor`."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from rim_runtime.bundle import names
from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.manifest import Variant
from rim_runtime.bundle.names import ListedBundle, default_trouble, list_bundles
from rim_runtime.bundle.unpacking import unpacked
from rim_runtime.engines.gpu_engines import plan_requirements
from rim_runtime.engines.names import GPU_ENGINES, EngineName
from rim_runtime.engines.registry import EngineStatus, engine_statuses
from rim_runtime.engines.support import SUPPORT, choose_variant, has_suited_variant
from rim_runtime.errors import RimError, StorageError, UnavailableError
from rim_runtime.libraries.cuda import load_cuda_libraries
from rim_runtime.libraries.onnxruntime import (
    CPU_COMMAND,
    GPU_COMMAND,
    installed_wheels,
    refuse_two_wheels,
    telemetry,
)
from rim_runtime.loading.trial import Trial, try_engine
from rim_runtime.machine import gpu
from rim_runtime.machine.cpu import Cpu, this_cpu
from rim_runtime.machine.folders import HOME_VARIABLE, bundles_folder, cache_folder, home_folder
from rim_runtime.machine.gpu import Gpus
from rim_runtime.tensorrt.plans import refusal

from rim_edge.extras import EXTRAS, ExtraStatus, extra_status

EXTRA_OF = {
    EngineName.ORT_CPU: "cpu",
    EngineName.OPENVINO: "openvino",
    EngineName.ORT_CUDA: "gpu",
    EngineName.TRT: "trt",
}
"""The extra that brings an engine's library."""
LIBRARIES = ("onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt-rtx-cu13", "tensorrt-cu13", "cuda-bindings")
"""Packages that engines run on."""


@dataclass(frozen=True)
class FolderStatus:
    """Whether one of our folders can be used."""

    path: Path | None
    """Where it is, or would be made; None where there is no place for it."""
    trouble: str | None
    """Why it cannot be written; None where it can."""


@dataclass(frozen=True)
class EngineReport:
    """One engine: what is there, and whether it answers."""

    name: EngineName
    """The engine."""
    available: bool
    """Whether it can run here; it is not, if it was tried and failed."""
    reason: str
    """Its library and version, or why it cannot run and what to do."""
    trial: Trial | None = None
    """What came of one question; None where nothing was there to try it on."""


@dataclass(frozen=True)
class Readiness:
    """Whether one engine can answer from one bundle on this machine."""

    engine: EngineName
    """The engine."""
    variant: str | None
    """The variant it would run; None where the bundle has none for it."""
    expected: bool
    """Whether a user would expect it to: the engine runs on this machine, or the bundle was made for it."""
    ready: bool
    """Whether it would answer."""
    detail: str
    """What is missing and the command that repairs it, or where the plan comes from; may be empty."""


@dataclass(frozen=True)
class BundleStatus:
    """One bundle, and which engines are ready for it."""

    listed: ListedBundle
    """Its name and place."""
    engines: tuple[Readiness, ...]
    """Every engine; empty for a bundle that cannot be read."""
    trouble: str | None
    """Why it cannot be read."""


@dataclass(frozen=True)
class Machine:
    """Everything that `rim-edge doctor` reports."""

    python: str
    """Python's version."""
    platform: str
    """Operating system and architecture."""
    cpu: Cpu
    """The processor."""
    gpus: Gpus
    """NVIDIA's driver and its GPUs."""
    libraries: Mapping[str, str | None]
    """Packages that engines run on, and their versions; None where not installed."""
    conflict: str | None
    """What is wrong if there are several wheels of ONNX Runtime."""
    telemetry: str
    """State of ONNX Runtime's usage reporting in this process."""
    engines: tuple[EngineReport, ...]
    """Every engine, and whether it answers here."""
    extras: tuple[ExtraStatus, ...]
    """Every extra, and what it lacks."""
    bundles: tuple[BundleStatus, ...]
    """The bundles on this machine."""
    bundles_trouble: str | None
    """What is wrong with the default bundle, or with the folder of bundles."""
    home: FolderStatus
    """Folder of bundles and state."""
    cache: FolderStatus
    """Folder of files that can be made again."""

    @property
    def advice(self) -> tuple[str, ...]:
        """What would make this machine answer faster, or at all; the most important first."""
        return _advice(self)


def examine(progress: Callable[[str], None] | None = None) -> Machine:
    """Examine this machine and try its engines; what is missing or broken never raises.

    `progress` is called with a line of text before each step that may take a moment.
    """
    tell = progress or (lambda text: None)
    wheels = installed_wheels()
    tell("looking for engines")
    # imports ONNX Runtime, so that the telemetry below is the real one
    statuses = tuple(map(_with_cuda, engine_statuses()))
    engines = tuple(_tried(status, _demo(), tell) for status in statuses)
    tell("looking at the bundles")
    bundles, trouble = _bundles(engines)
    return Machine(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.release()}, {platform.machine()}",
        cpu=this_cpu(),
        gpus=gpu.look(),
        libraries={name: _version(name) for name in LIBRARIES} | wheels,
        conflict=_conflict(wheels),
        telemetry=telemetry().value,
        engines=engines,
        extras=tuple(extra_status(name) for name in EXTRAS),
        bundles=bundles,
        bundles_trouble=trouble,
        home=_folder(home_folder),
        cache=_folder(cache_folder),
    )


def _demo() -> Bundle | None:
    """Return the embedded demo, to try engines on; None if it is not here, or not whole."""
    folder = names.demo_folder()
    if folder is None:
        return None
    try:
        demo = Bundle.load(folder)
        demo.verify()
    except (RimError, OSError):
        return None
    return demo


def _tried(status: EngineStatus, demo: Bundle | None, tell: Callable[[str], None]) -> EngineReport:
    """Ask an engine that seems to be here one question of the demo's."""
    if not status.available or demo is None:
        return EngineReport(status.name, status.available, status.reason)
    tell(f"asking {status.name} one question")
    trial = try_engine(status.name, demo)
    if trial is None or trial.trouble is None:
        return EngineReport(status.name, True, status.reason, trial)
    repair = f'pip install "rim-edge[{EXTRA_OF[status.name]}]"'
    reason = f"{status.reason} is here and does not answer. {trial.trouble} Run: {repair}"
    return EngineReport(status.name, False, reason, trial)


def _with_cuda(status: EngineStatus) -> EngineStatus:
    """Check `ort-cuda` further: without CUDA's libraries, ONNX Runtime would fall back to the CPU."""
    if status.name is not EngineName.ORT_CUDA or not status.available:
        return status
    missing = load_cuda_libraries()
    if not missing:
        return status
    return replace(
        status, available=False, reason=f"{status.reason} misses {', '.join(missing)}. Run: {GPU_COMMAND}"
    )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _conflict(wheels: dict[str, str]) -> str | None:
    try:
        refuse_two_wheels(wheels)
    except UnavailableError as error:
        return str(error)
    return None


def _bundles(engines: Sequence[EngineReport]) -> tuple[tuple[BundleStatus, ...], str | None]:
    return tuple(_bundle(listed, engines) for listed in list_bundles()), _bundles_trouble()


def _bundles_trouble() -> str | None:
    if trouble := default_trouble():
        return trouble
    try:
        any(bundles_folder().iterdir())
    except (FileNotFoundError, StorageError):  # none yet, or no place for any, which the folders' rows say
        return None
    except OSError as error:
        return f"{bundles_folder()} cannot be read ({error.strerror})."
    return None


def _bundle(listed: ListedBundle, engines: Sequence[EngineReport]) -> BundleStatus:
    if listed.missing:
        return BundleStatus(listed, (), "it is gone")
    try:
        with unpacked(listed.path) as folder:
            bundle = Bundle.load(folder)
            return BundleStatus(listed, tuple(_readiness(bundle, status) for status in engines), None)
    except (RimError, OSError) as error:
        return BundleStatus(listed, (), str(error))


def _readiness(bundle: Bundle, status: EngineReport) -> Readiness:
    expected = status.available or has_suited_variant(bundle, status.name)
    here = gpu.look().first if status.name in GPU_ENGINES else None
    variant = choose_variant(bundle, status.name, capability=here.capability if here else None)
    if variant is None:
        return Readiness(
            status.name, None, expected, False, f"no variant for it; make one: {SUPPORT[status.name].export}"
        )
    if not status.available:
        detail = f"{variant.name} is there, but the engine cannot run here"
        return Readiness(status.name, variant.name, expected, False, detail)
    detail = _plan(bundle, variant) if status.name is EngineName.TRT else ""
    return Readiness(status.name, variant.name, expected, True, detail)


def _plan(bundle: Bundle, variant: Variant) -> str:
    """Say where the plan of a variant would come from."""
    here = plan_requirements()
    reasons = [refusal(bundle, plan, here) for plan in bundle.manifest.plans if plan.variant == variant.name]
    if None in reasons:
        return "with the plan it brought"
    return "; ".join(["its plan is built at the first load", *filter(None, reasons)])


def _advice(machine: Machine) -> tuple[str, ...]:
    works = {status.name for status in machine.engines if status.available}
    reasons = {status.name: status.reason for status in machine.engines}
    told = [machine.conflict] if machine.conflict else []
    if not works:
        told.append(f"No engine works here. The smallest: {CPU_COMMAND}")
    if machine.bundles_trouble:
        told.append(machine.bundles_trouble)
    if machine.home.trouble and machine.home.path:
        told.append(f"{machine.home.trouble}. Set {HOME_VARIABLE} to a folder that can be written.")
    if machine.gpus.first and not works & {EngineName.TRT, EngineName.ORT_CUDA}:
        told.append(f"The GPU is idle. {reasons[EngineName.ORT_CUDA]}")
    if machine.gpus.trouble and (
        machine.gpus.driver or machine.gpus.cuda or "without a driver" in machine.gpus.trouble
    ):
        told.append(machine.gpus.trouble)
    return tuple(told)


def _folder(find: Callable[[], Path]) -> FolderStatus:
    """Try to write to the folder, or to its nearest parent that exists; leave nothing there."""
    try:
        path = find()
    except StorageError as error:
        return FolderStatus(None, str(error))
    try:
        nearest = next((folder for folder in (path, *path.parents) if folder.exists()), path)
        if not nearest.is_dir():
            return FolderStatus(path, f"{nearest} is not a folder")
        if not os.access(nearest, os.W_OK | os.X_OK):
            return FolderStatus(path, f"{nearest} cannot be written")
        with tempfile.TemporaryFile(dir=nearest):
            return FolderStatus(path, None)
    except OSError as error:
        return FolderStatus(path, f"{path} cannot be used ({error.strerror})")
