"""The only place that imports OpenVINO, with its usage reporting kept out.

`import openvino` alone reports usage: it imports its conversion tools, and these send an event through the package
`openvino_telemetry` (consent is assumed, and recorded below the home folder). No variable switches that off, but
without the package OpenVINO falls back to a stub that does nothing; so it is hidden during the import.
If the host program imported OpenVINO first, we cannot change that; `host_reports` reports it.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rim_runtime.errors import EngineUnavailableError, MissingExtraError, UnavailableError
from rim_runtime.libraries.importing import import_apart

COMMAND = 'pip install "rim-edge[openvino]"'
REPORTER = "openvino_telemetry"

_lock = threading.Lock()
_forked: list[bool] = []  # not empty in a process that was forked with OpenVINO in it


def _after_fork() -> None:
    if sys.modules.get("openvino") is not None:
        _forked.append(True)


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)


def host_reports() -> bool:
    """Whether the host program imported OpenVINO together with its usage reporting."""
    return sys.modules.get("openvino") is not None and sys.modules.get(REPORTER) is not None


def openvino_version() -> str:
    """Return the installed version, if possible without importing OpenVINO; `unknown` if it is not here.

    Frozen applications have no package metadata, and must still notice another release.
    """
    from importlib import metadata  # slow to import, and only needed when an engine is loaded

    try:
        return metadata.version("openvino")
    except metadata.PackageNotFoundError:
        pass
    try:
        return str(import_openvino().__version__)
    except UnavailableError:
        return "unknown"


def import_openvino() -> Any:
    """Import OpenVINO without its usage reporting and return the module.

    Raises MissingExtraError (not installed) and EngineUnavailableError (broken, or imported before a fork).
    """
    if _forked:
        raise EngineUnavailableError(
            "openvino was imported before this process was forked, and waits for threads that did not follow. "
            "Use ort-cpu here, or start the process by 'spawn'."
        )
    module = import_apart(_import_quietly)
    if not hasattr(module, "Core"):
        raise EngineUnavailableError(f"The folder of openvino is damaged. Install it again: {COMMAND}")
    return module


def _import_quietly() -> Any:
    with _lock:
        if "openvino" in sys.modules:
            return _import()
        with _reporter_hidden():
            return _import()


@contextmanager
def _reporter_hidden() -> Iterator[None]:
    """Let imports of the reporter fail inside the block; a host that imported it already keeps its own."""
    before = sys.modules.get(REPORTER)
    sys.modules[REPORTER] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[REPORTER]
        if before is not None:
            sys.modules[REPORTER] = before


def _import() -> Any:
    try:
        import openvino
    except ModuleNotFoundError as error:
        if error.name == "openvino":
            raise MissingExtraError("openvino", COMMAND, "The engine openvino") from None
        raise _broken(error) from None
    except ImportError as error:
        raise _broken(error) from None
    return openvino


def _broken(error: ImportError) -> EngineUnavailableError:
    return EngineUnavailableError(f"OpenVINO cannot be imported ({error}). Install it again: {COMMAND}")
