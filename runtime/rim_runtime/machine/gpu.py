"""NVIDIA GPUs as this machine's driver reports them, through ctypes alone; no process is started.

CUDA's library (libcuda) lists the devices, in its order and within CUDA_VISIBLE_DEVICES. NVML (libnvidia-ml)
returns the driver's version. Both are part of every driver; without a driver, loading them fails at once.
"""

from __future__ import annotations

import ctypes
import os
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
NO_DEVICE = 100
"""CUDA's error where no GPU is visible: hidden from the process, not passed to the container, or dead."""
ADVICE = {
    2: "The GPU or the machine is out of memory: free some of it.",
    802: "Start NVIDIA's fabric manager, which GPUs with NVSwitch wait for: systemctl start nvidia-fabricmanager",
    803: "The driver was updated under the running system: restart the machine.",
    804: "Remove CUDA's compatibility libraries (cuda-compat) from the library path: this GPU does not take them.",
}
"""What to do about CUDA's errors at its start; else OTHERWISE."""
OTHERWISE = "Restart the machine, or install the driver again."
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

    def __init__(self, text: str, code: int | None = None) -> None:
        """`code` is CUDA's or NVML's error."""
        super().__init__(text)
        self.code = code


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
    """Look for GPUs; what is missing or broken is reported, never raised.

    Where this machine has GPUs, its driver is asked once a process: CUDA shows a process the same GPUs to its end.
    """
    if probe is not None:
        return _ask(probe)
    if "gpus" not in _kept:
        found = _ask(DriverProbe())
        if not found.gpus:
            return found
        _kept["gpus"] = found
    return _kept["gpus"]


_kept: dict[str, Gpus] = {}  # what this machine's driver said, once it showed a GPU


def _ask(probe: Probe) -> Gpus:
    driver = _driver(probe)
    try:
        cuda = probe.cuda()
    except GpuTroubleError as error:
        return Gpus(driver, None, (), _without_cuda(probe.on_the_bus(), driver, str(error)))
    try:
        gpus = tuple(probe.gpus())
    except GpuTroubleError as error:
        advice = ADVICE.get(error.code or 0, OTHERWISE)
        return Gpus(driver, cuda, (), f"CUDA does not start ({error}). {advice}")
    return Gpus(driver, cuda, gpus, None if gpus else _without_gpu())


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


def _without_gpu() -> str:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return "The driver shows no GPU. Look at nvidia-smi -L; a container has to be given the GPU (--gpus all)."
    return (
        f"The driver shows no GPU: CUDA_VISIBLE_DEVICES is {visible!r}. Unset it, or name a GPU of nvidia-smi -L."
    )


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
        nvml, text = _load(NVML_LIBRARY), ctypes.create_string_buffer(96)
        _call(nvml, "nvmlInit_v2")
        try:
            _call(nvml, "nvmlSystemGetDriverVersion", text, len(text))
            return text.value.decode(errors="replace")
        finally:
            _call(nvml, "nvmlShutdown")

    def cuda(self) -> tuple[int, int]:
        """Ask libcuda, which need not be started for this."""
        version = ctypes.c_int()
        _call(_load(CUDA_LIBRARY), "cuDriverGetVersion", ctypes.byref(version))
        return version.value // 1000, version.value % 1000 // 10

    def gpus(self) -> Sequence[Gpu]:
        """Start libcuda and ask it; none where it says so by an error."""
        cuda, count = _load(CUDA_LIBRARY), ctypes.c_int()
        try:
            _call(cuda, "cuInit", 0)
            _call(cuda, "cuDeviceGetCount", ctypes.byref(count))
        except GpuTroubleError as error:
            if error.code == NO_DEVICE:
                return ()
            raise
        return [_describe(cuda, index) for index in range(count.value)]


def _describe(cuda: Any, index: int) -> Gpu:
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name, memory = ctypes.create_string_buffer(256), ctypes.c_size_t()
    _call(cuda, "cuDeviceGet", ctypes.byref(device), index)
    _call(cuda, "cuDeviceGetName", name, len(name), device)
    _call(cuda, "cuDeviceGetAttribute", ctypes.byref(major), MAJOR, device)
    _call(cuda, "cuDeviceGetAttribute", ctypes.byref(minor), MINOR, device)
    _call(cuda, "cuDeviceTotalMem_v2", ctypes.byref(memory), device)
    return Gpu(index, name.value.decode(errors="replace"), (major.value, minor.value), memory.value)


def _load(library: str) -> Any:
    try:
        return ctypes.CDLL(library)
    except OSError:
        raise GpuTroubleError(f"{library} cannot be loaded") from None


def _call(library: Any, function: str, *arguments: Any) -> None:
    """Call one of the driver's libraries. Raises GpuTroubleError (an error, or it has no such function)."""
    try:
        code = getattr(library, function)(*arguments)
    except AttributeError:
        raise GpuTroubleError(f"{library._name} has no {function}") from None
    if code:
        raise GpuTroubleError(f"{library._name} says error {code}{_text(library, code)}", code)


def _text(library: Any, code: int) -> str:
    """Return what libcuda calls an error; nothing for another library or an unknown error."""
    text = ctypes.c_char_p()
    ask = getattr(library, "cuGetErrorString", None)
    if ask is None or ask(code, ctypes.byref(text)) or not text.value:
        return ""
    return f", {text.value.decode(errors='replace')}"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
