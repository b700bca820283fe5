"""The only place that imports TensorRT: `tensorrt_rtx` from its wheels, or classic `tensorrt` with the same API.

TensorRT-RTX builds plans without a GPU, for the GPUs named. The classic library builds for the GPU it finds.
Seen with 1.7.1.116 under strace: the import opens no socket, writes no file and starts no process.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from rim_runtime.errors import EngineUnavailableError, MissingExtraError
from rim_runtime.libraries.importing import import_apart


class Library(StrEnum):
    """The two libraries by name, as in a plan's manifest entry."""

    RTX = "tensorrt-rtx"
    """TensorRT-RTX, from pip: for RTX GPUs."""
    CLASSIC = "tensorrt"
    """TensorRT, from the vendor's index: for data-centre GPUs too. Written to its API, never run."""


MODULES = {Library.RTX: "tensorrt_rtx", Library.CLASSIC: "tensorrt"}
COMMANDS = {Library.RTX: 'pip install "rim-edge[trt]"', Library.CLASSIC: 'pip install "rim-edge[tensorrt]"'}
DISTRIBUTIONS = {
    Library.RTX: ("tensorrt-rtx-cu13", "tensorrt-rtx", "tensorrt-rtx-cu12"),
    Library.CLASSIC: ("tensorrt-cu13", "tensorrt", "tensorrt-cu12"),
}


@dataclass(frozen=True)
class TensorRt:
    """One of the two libraries, imported."""

    library: Library
    """Which library."""
    module: Any
    """The module itself."""

    @property
    def version(self) -> str:
        """Its exact release; a plan runs on no other."""
        return str(self.module.__version__)


def is_installed(library: Library) -> bool:
    """Whether the library's module is installed, without importing it."""
    try:
        return find_spec(MODULES[library]) is not None
    except ValueError:  # a host program replaced it by a module without a spec
        return True


def installed_version(library: Library) -> str | None:
    """Return the installed release without importing it; None where it is not installed."""
    from importlib import metadata  # slow to import, and seldom needed

    for name in DISTRIBUTIONS[library]:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def import_tensorrt(library: Library, needed_for: str) -> TensorRt:
    """Import one of the two. Raises MissingExtraError (not installed) and EngineUnavailableError (broken)."""
    name, command = MODULES[library], COMMANDS[library]
    try:
        module = import_apart(lambda: import_module(name))
    except ModuleNotFoundError as error:
        if error.name == name:
            raise MissingExtraError(name, command, needed_for) from None
        raise _broken(library, error) from None
    except Exception as error:  # noqa: BLE001 (from its shared libraries, or its own initialization)
        raise _broken(library, error) from None
    if not (hasattr(module, "Builder") and hasattr(module, "__version__")):
        raise EngineUnavailableError(f"The folder of {name} is damaged. Install it again: {command}")
    return TensorRt(library, module)


def platform_name() -> str:
    """Return this platform's name, as in `linux-x86_64`; a plan runs only on the platform it was built on."""
    import platform

    machine = platform.machine().lower()
    return f"{sys.platform}-{'x86_64' if machine == 'amd64' else machine}"


def _broken(library: Library, error: Exception) -> EngineUnavailableError:
    return EngineUnavailableError(
        f"{MODULES[library]} cannot be imported ({error}). Install it again: {COMMANDS[library]}"
    )
