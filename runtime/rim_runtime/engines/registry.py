"""The engines by name: whether each can run here, and how it is opened."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.integrity import GraphFiles, read_graph
from rim_runtime.bundle.manifest import Variant
from rim_runtime.engines.backend import Backend, EngineOptions
from rim_runtime.engines.names import EngineName
from rim_runtime.engines.ort_cpu import OrtCpuBackend, saturates
from rim_runtime.errors import UnavailableError
from rim_runtime.libraries.onnxruntime import has_cuda_provider, import_onnxruntime
from rim_runtime.libraries.openvino import import_openvino
from rim_runtime.progress import OnProgress


@dataclass(frozen=True)
class EngineStatus:
    """Whether one engine can run on this machine."""

    name: EngineName
    """Which engine."""
    available: bool
    """Whether it can run here."""
    reason: str
    """Its library and version, or why it cannot run and what to do."""


@dataclass(frozen=True)
class _Entry:
    installed: Callable[[], bool]
    """Whether the library is installed, without importing it: importing may take longer than answering."""
    require: Callable[[], str]
    """Returns what would run; raises UnavailableError before any slow work."""
    open: Callable[[Bundle, Variant, EngineOptions, OnProgress | None, GraphFiles], Backend]


def _openvino_version() -> str:
    return f"openvino {import_openvino().__version__}, its usage reporting kept out"


def _onnxruntime_version() -> str:
    library = import_onnxruntime()
    safe = "; int8 in a slower form, for this processor has no VNNI" if saturates(library) else ""
    return f"onnxruntime {library.__version__}{safe}"


# Engines are imported where they are opened, because most loads need only one.
def _open_openvino(
    bundle: Bundle, variant: Variant, use: EngineOptions, progress: OnProgress | None, files: GraphFiles
) -> Backend:
    from rim_runtime.engines.openvino import OpenVinoBackend

    return OpenVinoBackend(bundle, variant, use, files)


def _open_ort_cpu(
    bundle: Bundle, variant: Variant, use: EngineOptions, progress: OnProgress | None, files: GraphFiles
) -> Backend:
    return OrtCpuBackend(bundle, variant, use, files)


def _require_ort_cuda() -> str:
    from rim_runtime.engines.gpu_engines import require_ort_cuda

    return require_ort_cuda()


def _open_ort_cuda(
    bundle: Bundle, variant: Variant, use: EngineOptions, progress: OnProgress | None, files: GraphFiles
) -> Backend:
    from rim_runtime.engines.gpu_engines import open_ort_cuda

    return open_ort_cuda(bundle, variant, progress)


def _require_trt() -> str:
    from rim_runtime.engines.gpu_engines import require_trt

    return require_trt()


def _open_trt(
    bundle: Bundle, variant: Variant, use: EngineOptions, progress: OnProgress | None, files: GraphFiles
) -> Backend:
    from rim_runtime.engines.gpu_engines import open_trt

    return open_trt(bundle, variant, progress, files)


_ENTRIES: Mapping[EngineName, _Entry] = {
    EngineName.TRT: _Entry(lambda: _is_here("tensorrt_rtx") or _is_here("tensorrt"), _require_trt, _open_trt),
    EngineName.ORT_CUDA: _Entry(has_cuda_provider, _require_ort_cuda, _open_ort_cuda),
    EngineName.OPENVINO: _Entry(lambda: _is_here("openvino"), _openvino_version, _open_openvino),
    EngineName.ORT_CPU: _Entry(lambda: _is_here("onnxruntime"), _onnxruntime_version, _open_ort_cpu),
}


def is_installed(name: EngineName) -> bool:
    """Whether an engine's library is installed, without importing it."""
    return _ENTRIES[name].installed()


def require_engine(name: EngineName) -> str:
    """Return what would run. Raises UnavailableError if it cannot run here, before any slow work."""
    return _ENTRIES[name].require()


def open_backend(
    name: EngineName,
    bundle: Bundle,
    variant: Variant,
    use: EngineOptions,
    progress: OnProgress | None = None,
    files: GraphFiles | None = None,
) -> Backend:
    """Load a variant on an engine; without `files`, what is in the bundle's folder is taken unchecked.

    GPU engines read files by their names: whoever checked them compares them afterwards. Raises UnavailableError,
    BundleCorruptError or InputError.
    """
    return _ENTRIES[name].open(bundle, variant, use, progress, files or read_graph(bundle, variant))


def engine_statuses() -> tuple[EngineStatus, ...]:
    """Return for every engine whether it can run here; imports libraries and asks the driver."""
    return tuple(_status(name) for name in EngineName if name is not EngineName.AUTO)


def _status(name: EngineName) -> EngineStatus:
    try:
        return EngineStatus(name, True, require_engine(name))
    except UnavailableError as error:
        return EngineStatus(name, False, str(error))


def _is_here(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:  # a host program replaced it by a module without a spec
        return True
