"""What an engine's library needs of a GPU and its driver, and the refusal that says what is missing."""

from __future__ import annotations

from dataclasses import dataclass

from rim_runtime.errors import EngineUnavailableError
from rim_runtime.gpu import Gpu, Gpus

CUDA, DRIVER = (13, 0), "580"
"""CUDA that all our GPU libraries are built with, and the first driver that knows it."""
SPARE_BYTES, SHARE = 1_000_000_000, 1.1
"""Memory beside the weights: the libraries' own and activations; and what loading takes of the weights' size."""


@dataclass(frozen=True)
class GpuNeed:
    """What one library needs."""

    engine: str
    """The engine it serves, as in EngineName."""
    library: str
    """The library with its version."""
    capabilities: tuple[tuple[int, int], ...]
    """Compute capabilities it has code for."""
    otherwise: str
    """What to do with a GPU of another one."""


def require_gpu(need: GpuNeed, found: Gpus) -> Gpu:
    """Return the GPU to use. Raises EngineUnavailableError that names what is missing and what mends it."""
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
