"""Every engine by its name, and how to open one."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from rim_runtime.backends.ort_cpu import OrtCpuBackend
from rim_runtime.backends.protocol import Backend
from rim_runtime.bundle import Bundle
from rim_runtime.errors import BundleNotFoundError, EngineUnavailableError, InputError, UnavailableError
from rim_runtime.manifest import Dialect, Precision, Variant
from rim_runtime.onnx_runtime import import_onnxruntime
from rim_runtime.open_vino import import_openvino


class EngineName(StrEnum):
    """The engines by name."""

    AUTO = "auto"
    """The best that works here."""
    ORT_CPU = "ort-cpu"
    """ONNX Runtime on the CPU."""
    OPENVINO = "openvino"
    """OpenVINO on the CPU."""
    ORT_CUDA = "ort-cuda"
    """ONNX Runtime on an NVIDIA GPU; not in this release."""
    TRT = "trt"
    """TensorRT on an NVIDIA GPU; not in this release."""


@dataclass(frozen=True)
class EngineStatus:
    """Whether one engine can run on this machine."""

    name: EngineName
    """Which one."""
    available: bool
    """Whether it can."""
    reason: str
    """Its library and version, or what is in the way and what to do."""


@dataclass(frozen=True)
class _Kind:
    module: str
    version: Callable[[], str]
    """Imports the library; raises UnavailableError."""
    open: Callable[[Bundle, Variant, int | None], Backend]
    dialects: tuple[Dialect, ...] = (Dialect.PORTABLE,)
    """What it reads, the better first."""


def _open_openvino(bundle: Bundle, variant: Variant, threads: int | None) -> Backend:
    from rim_runtime.backends.openvino import OpenVinoBackend  # here, because most loads do without it

    return OpenVinoBackend(bundle, variant, threads)


_KINDS: Mapping[EngineName, _Kind] = {
    EngineName.OPENVINO: _Kind(
        "openvino",
        lambda: f"openvino {import_openvino().__version__}, its usage reporting kept out",
        _open_openvino,
    ),
    EngineName.ORT_CPU: _Kind(
        "onnxruntime",
        lambda: f"onnxruntime {import_onnxruntime().__version__}",
        OrtCpuBackend,
        (Dialect.ORT, Dialect.PORTABLE),
    ),
}
"""The engines of this release, in the order in which `auto` tries them; its last rung stands last."""


def parse_engine(name: str) -> EngineName:
    """Return the engine of this name.

    Raises InputError for a word that is no engine, EngineUnavailableError for one not in this release.
    """
    known = [engine.value for engine in EngineName]
    if name not in known:
        raise InputError(f"There is no engine {name!r}, expected one of {', '.join(known)}.")
    engine = EngineName(name)
    if engine is not EngineName.AUTO:
        _kind(engine)
    return engine


def parse_precision(name: str) -> Precision:
    """Return the precision of this name. Raises InputError."""
    known = [precision.value for precision in Precision]
    if name not in known:
        raise InputError(f"There is no precision {name!r}, expected one of {', '.join(known)}.")
    return Precision(name)


def engines_for(wish: EngineName) -> tuple[EngineName, ...]:
    """Return what to try for a wish, the last rung last: itself, or for `auto` every engine that is installed."""
    if wish is not EngineName.AUTO:
        return (wish,)
    return tuple(name for name in _KINDS if is_installed(name)) or (EngineName.ORT_CPU,)


def dialects_of(name: EngineName) -> tuple[Dialect, ...]:
    """Return the dialects an engine reads, the better first. Raises EngineUnavailableError."""
    return _kind(name).dialects


def variants_for(
    rungs: Sequence[EngineName], bundle: Bundle, precision: Precision | None
) -> Mapping[EngineName, Variant]:
    """Return the variant that each engine would run, all of one precision; None means the bundle's default one.

    Engines that read none of them are left out. Raises BundleNotFoundError for a precision that the bundle has
    not, EngineUnavailableError where no engine is left.
    """
    default = bundle.variant(precision)
    found = {}
    for name in rungs:
        with suppress(BundleNotFoundError):
            found[name] = bundle.variant(default.precision, dialects_of(name))
    if not found:
        raise EngineUnavailableError(
            f"{' and '.join(rungs)} cannot run {bundle.path / default.graph}: it is written in the dialect "
            f"{default.dialect}, expected {' or '.join(dialects_of(rungs[-1]))}. Use another engine or precision."
        )
    return found


def is_installed(name: EngineName) -> bool:
    """Whether an engine's library is here, without importing it: importing may take longer than answering."""
    try:
        return importlib.util.find_spec(_kind(name).module) is not None
    except ValueError:  # a host program put a module without a specification in its place
        return True


def open_backend(name: EngineName, bundle: Bundle, variant: Variant, threads: int | None) -> Backend:
    """Load a variant on an engine. Raises UnavailableError, BundleCorruptError or InputError."""
    return _kind(name).open(bundle, variant, threads)


def require_engine(name: EngineName) -> None:
    """Raise UnavailableError if the engine's library is not here, before anything slow is done for it."""
    _kind(name).version()


def engine_statuses() -> tuple[EngineStatus, ...]:
    """Say of every engine whether it can run here; imports their libraries to find out."""
    return tuple(_status(name) for name in EngineName if name is not EngineName.AUTO)


def _status(name: EngineName) -> EngineStatus:
    if name not in _KINDS:
        return EngineStatus(name, False, "not in this release yet")
    try:
        return EngineStatus(name, True, _KINDS[name].version())
    except UnavailableError as error:
        return EngineStatus(name, False, str(error))


def _kind(name: EngineName) -> _Kind:
    if name not in _KINDS:
        raise EngineUnavailableError(
            f"The engine {name} is not in this release yet. Use ort-cpu, or auto for the best that works here."
        )
    return _KINDS[name]
