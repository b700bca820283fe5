"""The GPU engines on this machine: check what each needs before any slow work, then open it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.integrity import GraphFiles
from rim_runtime.bundle.manifest import Profile, Variant
from rim_runtime.engines.backend import Backend
from rim_runtime.engines.graph import Graph, first_line
from rim_runtime.errors import EngineUnavailableError, MissingExtraError, RimError, StorageError
from rim_runtime.libraries import tensorrt
from rim_runtime.libraries.onnxruntime import (
    GPU_COMMAND,
    has_cuda_provider,
    import_onnxruntime,
    installed_wheels,
    refuse_two_wheels,
)
from rim_runtime.libraries.tensorrt import Library
from rim_runtime.machine import gpu
from rim_runtime.machine.folders import plans_folder
from rim_runtime.machine.gpu import Gpu, Gpus
from rim_runtime.machine.ownership import written_by_others
from rim_runtime.progress import OnProgress, Progress, Stage
from rim_runtime.tensorrt.plans import PlanRequirements

CUDA, DRIVER = (13, 0), "580"
"""The CUDA version that all the GPU libraries are built with, and the first driver that supports it."""
SPARE_BYTES, SHARE = 1_000_000_000, 1.1
"""Memory for the libraries and the activations; and the memory for the weights, as a multiple of their size."""
RTX_CAPABILITIES = ((7, 5), (8, 0), (8, 6), (8, 9), (12, 0), (12, 1))
"""The targets of TensorRT-RTX 1.7.1; 9.0 (H100, H200) and 10.0 are not among them."""
CLASSIC_CAPABILITIES = (*RTX_CAPABILITIES, (8, 7), (9, 0), (10, 0), (10, 3))
ORT_CAPABILITIES = ((7, 5), (8, 0), (8, 6), (8, 7), (8, 9), (9, 0), (12, 0), (12, 1))
"""What onnxruntime-gpu 1.31 has code for; 8.7 and 12.1 run the code of 8.6 and 12.0. Later GPUs have none."""


@dataclass(frozen=True)
class GpuNeed:
    """What one library needs of the GPU."""

    engine: str
    """The engine it serves, as in EngineName."""
    library: str
    """The library with its version."""
    capabilities: tuple[tuple[int, int], ...]
    """Compute capabilities that it has code for."""
    otherwise: str
    """What to do with a GPU of another compute capability."""


def require_ort_cuda() -> str:
    """Return what `ort-cuda` would run on. Raises UnavailableError that names what is missing."""
    return _ort_cuda()[1]


def open_ort_cuda(bundle: Bundle, variant: Variant, progress: OnProgress | None = None) -> Backend:
    """Open ONNX Runtime on the first GPU. Raises what OrtCudaBackend raises, and UnavailableError."""
    found, _ = _ort_cuda()
    need = _ort_need(installed_wheels())
    require_memory(need, require_gpu(need, found), _weights(bundle, variant))
    if progress:
        progress(Progress(Stage.LOAD, None, None, f"loading {variant.name} to the GPU"))
    from rim_runtime.engines.ort_cuda import OrtCudaBackend

    with _unavailable("ort-cuda"):
        return OrtCudaBackend(bundle, variant, import_onnxruntime(), found)


def _ort_cuda() -> tuple[Gpus, str]:
    wheels = installed_wheels()
    refuse_two_wheels(wheels)
    need, found = _ort_need(wheels), gpu.look()
    chosen = require_gpu(need, found)  # before the wheel: without a GPU, another wheel does not help
    if not has_cuda_provider():
        have = " ".join(map(" ".join, wheels.items()))
        away = f"pip uninstall -y {' '.join(wheels)} && " if wheels else ""
        raise MissingExtraError(
            f"onnxruntime-gpu{f' (found {have})' if have else ''}", away + GPU_COMMAND, "The engine ort-cuda"
        )
    return found, _runs_on(need, chosen, found)


def _ort_need(wheels: dict[str, str]) -> GpuNeed:
    version = wheels.get("onnxruntime-gpu", "")
    return GpuNeed(
        "ort-cuda", f"onnxruntime-gpu {version}".strip(), ORT_CAPABILITIES, "Use a CPU engine, or another GPU."
    )


def require_trt() -> str:
    """Return what `trt` would run on. Raises UnavailableError that names what is missing."""
    need, _, found = _trt()
    return _runs_on(need, require_gpu(need, found), found)


def open_trt(
    bundle: Bundle, variant: Variant, progress: OnProgress | None = None, files: GraphFiles | None = None
) -> Backend:
    """Open a plan of a variant on the first GPU; build one if there is none that may be loaded.

    TensorRT reads `files`, which were checked, by their names: a plan counts only if they have not changed then.

    Raises EngineUnavailableError, MissingExtraError and BundleCorruptError.
    """
    need, library, found = _trt()
    chosen = require_gpu(need, found)
    require_memory(need, chosen, _weights(bundle, variant))
    from rim_runtime.engines.trt import TrtBackend
    from rim_runtime.tensorrt.build import build_plan, default_profiles
    from rim_runtime.tensorrt.plans import obtain_plan

    profiles = default_profiles(bundle.manifest.limits)

    def build(graph: Path, profiles: Sequence[Profile]) -> memoryview:
        def report(share: float) -> None:
            text = f"building a plan of {variant.name} for {chosen.name}, once"
            if progress:
                progress(Progress(Stage.BUILD_PLAN, int(100 * share), 100, text))

        report(0.0)
        plan = build_plan(trt, graph, (chosen.target,), profiles, report if progress else None)
        if files:
            files.require_unchanged()  # before the plan is kept
        return plan

    with _unavailable("trt"):
        trt = tensorrt.import_tensorrt(library, "The engine trt")
        here = _here(library, trt.version, chosen)
        return TrtBackend(
            Graph.of(bundle, variant),
            trt,
            lambda: obtain_plan(bundle, variant, here, profiles, build),
            kernels=_kernels_file(here, found) if library is Library.RTX else None,
            precision=variant.precision,
            fingerprint=f"{need.library}, {chosen.name} {chosen.target}, driver {found.driver}, {variant.name}",
        )


def plan_requirements() -> PlanRequirements:
    """Return what a plan must match on this machine, without importing TensorRT. Raises UnavailableError."""
    need, library, found = _trt()
    return _here(library, tensorrt.installed_version(library) or "unknown", require_gpu(need, found))


def _trt() -> tuple[GpuNeed, Library, Gpus]:
    """Return what the preferred installed library needs: RTX, unless only the classic one supports the GPU."""
    found = gpu.look()
    installed = [library for library in Library if tensorrt.is_installed(library)]
    needs = {library: _trt_need(library) for library in installed or Library}
    if found.first is None:
        require_gpu(next(iter(needs.values())), found)  # raises: without a GPU, a library does not help
    if not installed:
        raise MissingExtraError(
            "tensorrt_rtx",
            f"{tensorrt.COMMANDS[Library.RTX]}  (a data-centre GPU: {tensorrt.COMMANDS[Library.CLASSIC]})",
            "The engine trt",
        )
    if not _has_cuda_python():
        raise MissingExtraError("cuda-bindings", tensorrt.COMMANDS[Library.RTX], "The engine trt")
    able = [x for x in installed if found.first and found.first.capability in needs[x].capabilities]
    library = (able or installed)[0]
    return needs[library], library, found


def _trt_need(library: Library) -> GpuNeed:
    text = f"{library} {tensorrt.installed_version(library) or ''}".strip()
    if library is Library.RTX:
        other = f"Use ort-cuda, or classic TensorRT: {tensorrt.COMMANDS[Library.CLASSIC]}"
        return GpuNeed("trt", text, RTX_CAPABILITIES, other)
    return GpuNeed("trt", text, CLASSIC_CAPABILITIES, "Use ort-cuda, or a CPU engine.")


def _has_cuda_python() -> bool:
    try:
        return find_spec("cuda.bindings") is not None
    except (ModuleNotFoundError, ValueError):
        return False


@contextmanager
def _unavailable(engine: str) -> Iterator[None]:
    """Turn whatever the libraries raise while an engine is opened into an error after which `auto` steps down."""
    try:
        yield
    except RimError:
        raise
    except Exception as error:  # their errors have no common base
        raise EngineUnavailableError(
            f"{engine} cannot be opened ({type(error).__name__}: {first_line(error)}). Look at it with: "
            "rim-edge doctor, or use another engine."
        ) from error


def _kernels_file(here: PlanRequirements, found: Gpus) -> Path | None:
    """Return where compiled kernels are kept, which are code; None where nothing can be, or others could write."""
    name = f"kernels {here.library} {here.version} {found.driver or 'unknown'} {here.target}"
    try:
        file = plans_folder() / name.replace(" ", "-")
    except StorageError:
        return None
    return None if written_by_others(file) else file


def _here(library: Library, version: str, chosen: Gpu) -> PlanRequirements:
    return PlanRequirements(library, version, tensorrt.platform_name(), chosen.target)


def _runs_on(need: GpuNeed, chosen: Gpu, found: Gpus) -> str:
    return f"{need.library} on {chosen.name} ({chosen.target}, driver {found.driver or 'unknown'})"


def _weights(bundle: Bundle, variant: Variant) -> int:
    return bundle.manifest.files[variant.data].bytes


def require_gpu(need: GpuNeed, found: Gpus) -> Gpu:
    """Return the GPU to use. Raises EngineUnavailableError that names what is missing and what to do."""
    gpu = found.first
    if found.cuda is not None and found.cuda < CUDA:
        raise EngineUnavailableError(
            f"{need.engine} needs CUDA {_dotted(CUDA)}, the driver {found.driver or 'here'} knows "
            f"{_dotted(found.cuda)}. Install NVIDIA's driver {DRIVER} or later."
        )
    if gpu is None:
        raise EngineUnavailableError(f"{need.engine} finds no GPU to run on. {found.trouble}")
    if gpu.capability not in need.capabilities:
        listed = ", ".join(map(_dotted, need.capabilities))
        raise EngineUnavailableError(
            f"{gpu.name} has compute capability {_dotted(gpu.capability)}, {need.library} has code for {listed}. "
            f"{need.otherwise}"
        )
    return gpu


def require_memory(need: GpuNeed, gpu: Gpu, weights: int) -> None:
    """Raise EngineUnavailableError if the GPU cannot hold weights of this many bytes."""
    wanted = int(SHARE * weights) + SPARE_BYTES
    if gpu.memory_bytes < wanted:
        raise EngineUnavailableError(
            f"{gpu.name} has {gpu.memory_bytes / 1e9:,.1f} GB of memory, {need.engine} needs about "
            f"{wanted / 1e9:,.1f} GB for this variant. Take a narrower precision, or another engine."
        )


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
