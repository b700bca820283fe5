"""NVIDIA GPUs as this machine's driver reports them, through ctypes alone; no process is started.

CUDA's library (libcuda) lists the devices, in its order and within CUDA_VISIBLE_DEVICES. NVML (libnvidia-ml)
returns the driver's version. Both are part of every driver; without a driver, loading them fails at once.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

CUDA_LIBRARY, NVML_LIBRARY = (
    ("nvcuda.dll", "nvml.dll") if sys.platform == "win32" else ("libcuda.so.1", "libnvidia-ml.so.1")
)
NVIDIA, DISPLAY = "0x10de", "0x03"
"""Vendor, and start of the class, of an NVIDIA GPU on the PCI bus."""
MAJOR, MINOR = 75, 76
"""CUDA's numbers for the attributes of the compute capability."""
_BUS = Path("/sys/bus/pci/devices")


@dataclass(frozen=True)
class Gpu:
    """One GPU that this process may use through CUDA."""

    index: int
    """Its number for CUDA; engines use 0."""
    name: str
    """Its marketing name."""
    capability: tuple[int, int]
    """Compute capability: major, minor."""
    memory_bytes: int
    """Its total memory."""

    @property
    def target(self) -> str:
        """Its architecture, as plans name it: `sm_89`."""
        return f"sm_{self.capability[0]}{self.capability[1]}"


@dataclass(frozen=True)
class Gpus:
    """What was found."""

    driver: str | None
    """The driver's version; None if there is no driver or it reports no version."""
    cuda: tuple[int, int] | None
    """The newest CUDA that the driver supports; None if there is no driver."""
    gpus: tuple[Gpu, ...]
    """The GPUs, in CUDA's order."""
    trouble: str | None
    """Why no GPU can be used, and what to do; None if there is one."""

    @property
    def first(self) -> Gpu | None:
        """The GPU that engines use; None if there is none."""
        return self.gpus[0] if self.gpus else None


class GpuTroubleError(Exception):
    """A probe could not find something out; the text says why. It never leaves `look`."""


class Probe(Protocol):
    """What `look` asks. Every method may raise GpuTroubleError, except `on_the_bus`."""

    def on_the_bus(self) -> int | None:
        """Return how many NVIDIA GPUs are plugged in; None if the platform does not report it."""

    def driver(self) -> str:
        """Return the driver's version."""

    def cuda(self) -> tuple[int, int]:
        """Return the newest CUDA that the driver supports. Raises GpuTroubleError if it has no CUDA library."""

    def gpus(self) -> Sequence[Gpu]:
        """Start CUDA in this process and return its devices."""


def look(probe: Probe | None = None) -> Gpus:
    """Look for GPUs; what is missing or broken is reported, never raised."""
    asked = probe or DriverProbe()
    driver = _driver(asked)
    try:
        cuda = asked.cuda()
    except GpuTroubleError as error:
        return Gpus(driver, None, (), _without_cuda(asked.on_the_bus(), driver, str(error)))
    try:
        gpus = tuple(asked.gpus())
    except GpuTroubleError as error:
        return Gpus(
            driver, cuda, (), f"CUDA does not start ({error}). Restart the machine, or install the driver again."
        )
    return Gpus(driver, cuda, gpus, None if gpus else "The driver shows no GPU. Look at CUDA_VISIBLE_DEVICES.")


def _driver(probe: Probe) -> str | None:
    try:
        return probe.driver()
    except GpuTroubleError:
        return None


def _without_cuda(on_the_bus: int | None, driver: str | None, why: str) -> str:
    if driver is not None:
        return f"The driver {driver} is here without its CUDA library ({why}). Install the driver again, whole."
    if on_the_bus:
        return f"There is an NVIDIA GPU without a driver ({why}). Install NVIDIA's driver, 580 or later."
    if on_the_bus == 0:
        return "There is no NVIDIA GPU; ort-cpu and openvino need none."
    return f"There is no NVIDIA driver ({why}). If there is a GPU, install NVIDIA's driver, 580 or later."


class DriverProbe:
    """Asks the driver of this machine."""

    def on_the_bus(self) -> int | None:
        """Count NVIDIA's display devices on the PCI bus, which only Linux shows as files."""
        if not _BUS.is_dir():
            return None
        return sum(_read(device / "vendor") == NVIDIA and _read(device / "class").startswith(DISPLAY)
                   for device in _BUS.iterdir())  # fmt: skip

    def driver(self) -> str:
        """Ask NVML."""
        nvml = _load(NVML_LIBRARY)
        _check(NVML_LIBRARY, nvml.nvmlInit_v2())
        try:
            text = ctypes.create_string_buffer(96)
            _check(NVML_LIBRARY, nvml.nvmlSystemGetDriverVersion(text, len(text)))
            return text.value.decode(errors="replace")
        finally:
            nvml.nvmlShutdown()

    def cuda(self) -> tuple[int, int]:
        """Ask libcuda, which need not be started for this."""
        version = ctypes.c_int()
        _check(CUDA_LIBRARY, _load(CUDA_LIBRARY).cuDriverGetVersion(ctypes.byref(version)))
        return version.value // 1000, version.value % 1000 // 10

    def gpus(self) -> Sequence[Gpu]:
        """Start libcuda and ask it."""
        cuda, count = _load(CUDA_LIBRARY), ctypes.c_int()
        _check(CUDA_LIBRARY, cuda.cuInit(0))
        _check(CUDA_LIBRARY, cuda.cuDeviceGetCount(ctypes.byref(count)))
        return [_describe(cuda, index) for index in range(count.value)]


def _describe(cuda: Any, index: int) -> Gpu:
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name, memory = ctypes.create_string_buffer(256), ctypes.c_size_t()
    for error in (
        cuda.cuDeviceGet(ctypes.byref(device), index),
        cuda.cuDeviceGetName(name, len(name), device),
        cuda.cuDeviceGetAttribute(ctypes.byref(major), MAJOR, device),
        cuda.cuDeviceGetAttribute(ctypes.byref(minor), MINOR, device),
        cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), device),
    ):
        _check(CUDA_LIBRARY, error)
    return Gpu(index, name.value.decode(errors="replace"), (major.value, minor.value), memory.value)


def _load(library: str) -> Any:
    try:
        return ctypes.CDLL(library)
    except OSError:
        raise GpuTroubleError(f"{library} cannot be loaded") from None


def _check(library: str, error: int) -> None:
    if error:
        raise GpuTroubleError(f"{library} says error {error}")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
