"""The list of bundles whose plans may be loaded on this machine: a TensorRT plan is code.

A bundle is identified by its manifest's hash, which changes with every file it lists. The list is kept in the
home folder. If it cannot be read, or others could have written it, no bundle is trusted.
"""

from __future__ import annotations

import json

from rim_runtime.bundle.manifest import Manifest
from rim_runtime.errors import InputError, StorageError
from rim_runtime.machine.folders import trust_file
from rim_runtime.machine.json_files import read_json
from rim_runtime.machine.ownership import written_by_others
from rim_runtime.machine.storage import write_file


def is_trusted(manifest: Manifest) -> bool:
    """Whether exactly this bundle is trusted on this machine."""
    try:
        return manifest.sha256 in _read() and why_not_kept() is None
    except (InputError, StorageError):
        return False


def why_not_kept() -> str | None:
    """Return why the list does not count on this machine, and what to do; None if it counts."""
    try:
        return written_by_others(trust_file())
    except StorageError as error:
        return str(error)


def trust(manifest: Manifest) -> None:
    """Trust a bundle from now on.

    Raises InputError (the list cannot be read) and StorageError (it cannot be written, or others could write it).
    """
    if why := why_not_kept():
        raise StorageError(why)
    _write(_read() | {manifest.sha256: manifest.name})


def untrust(manifest: Manifest) -> bool:
    """Stop trusting a bundle; return whether it was trusted. Raises what `trust` raises."""
    known = _read()
    if manifest.sha256 not in known:
        return False
    _write({sha256: name for sha256, name in known.items() if sha256 != manifest.sha256})
    return True


def _read() -> dict[str, str]:
    file = trust_file()
    try:
        body = read_json(file)
        return {str(sha256): str(name) for sha256, name in body["bundles"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{file} cannot be read ({error!r}), expected the list of trusted bundles. "
            "Delete it and trust them again: rim-edge bundle trust BUNDLE"
        ) from None


def _write(known: dict[str, str]) -> None:
    write_file(trust_file(), json.dumps({"schema_version": 1, "bundles": known}, indent=1) + "\n")
