"""What this machine can run and why not the rest: the facts behind `rim-edge doctor`."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rim_runtime.cpu import Cpu, this_cpu
from rim_runtime.engines import EngineStatus, engine_statuses
from rim_runtime.errors import RimError, UnavailableError
from rim_runtime.onnx_runtime import installed_wheels, refuse_two_wheels, telemetry
from rim_runtime.paths import bundles_folder, cache_folder, home_folder

from rim_edge.bundles import ListedBundle, list_bundles
from rim_edge.extras import EXTRAS, ExtraStatus, extra_status


@dataclass(frozen=True)
class FolderStatus:
    """Whether one of our folders can be used."""

    path: Path
    """Where it is, or would be made."""
    trouble: str | None
    """Why it cannot be written; None where it can."""


@dataclass(frozen=True)
class Machine:
    """All that doctor tells."""

    python: str
    """Python's version."""
    platform: str
    """Operating system and architecture."""
    cpu: Cpu
    """The processor."""
    wheels: Mapping[str, str]
    """Installed wheels of ONNX Runtime and their versions."""
    conflict: str | None
    """What is wrong if there are several."""
    telemetry: str
    """State of ONNX Runtime's usage reporting in this process."""
    engines: tuple[EngineStatus, ...]
    """Every engine, and whether it runs here."""
    extras: tuple[ExtraStatus, ...]
    """Every extra, and what it lacks."""
    bundles: tuple[ListedBundle, ...]
    """The bundles here."""
    bundles_trouble: str | None
    """Why the bundles cannot be listed."""
    home: FolderStatus
    """Folder of bundles and state."""
    cache: FolderStatus
    """Folder of what can be made again."""


def examine() -> Machine:
    """Look at this machine; never raises for what it finds missing or broken."""
    wheels = installed_wheels()
    engines = engine_statuses()  # imports ONNX Runtime, so the telemetry state below is the real one
    bundles, trouble = _bundles()
    return Machine(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.release()}, {platform.machine()}",
        cpu=this_cpu(),
        wheels=wheels,
        conflict=_conflict(wheels),
        telemetry=telemetry().value,
        engines=engines,
        extras=tuple(extra_status(name) for name in EXTRAS),
        bundles=bundles,
        bundles_trouble=trouble,
        home=_folder(home_folder()),
        cache=_folder(cache_folder()),
    )


def _conflict(wheels: dict[str, str]) -> str | None:
    try:
        refuse_two_wheels(wheels)
    except UnavailableError as error:
        return str(error)
    return None


def _bundles() -> tuple[tuple[ListedBundle, ...], str | None]:
    try:
        return list_bundles(), None
    except (RimError, OSError) as error:
        return (), f"{bundles_folder()}: {error}"


def _folder(path: Path) -> FolderStatus:
    """Try the folder, or the nearest one above it that exists, without leaving anything behind."""
    nearest = next((folder for folder in (path, *path.parents) if folder.exists()), path)
    try:
        if not nearest.is_dir():
            return FolderStatus(path, f"{nearest} is not a folder")
        if not os.access(nearest, os.W_OK | os.X_OK):
            return FolderStatus(path, f"{nearest} cannot be written")
        with tempfile.TemporaryFile(dir=nearest):
            return FolderStatus(path, None)
    except OSError as error:
        return FolderStatus(path, f"{nearest}: {error.strerror}")
