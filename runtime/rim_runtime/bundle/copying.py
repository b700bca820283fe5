"""Copy a bundle to another folder, or onto another disk: each file is checked while it is copied."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from rim_runtime.bundle.folder import Bundle, Progress, save_manifest
from rim_runtime.errors import BundleCorruptError, InputError, StorageError
from rim_runtime.machine.storage import new_folder, refuse_existing

_AT_ONCE = 1 << 20
"""Bytes that are read, hashed and written at a time."""


def copy_bundle(bundle: Bundle, target: Path, progress: Progress | None = None) -> None:
    """Write the bundle's files, and nothing else from its folder, into `target`.

    It appears whole or not at all. `progress` is called with each file's name.
    Raises TargetExistsError and InputError (the target), StorageError (the disk refuses, or has no room for it)
    and BundleCorruptError (a file is not what the manifest says).
    """
    refuse_existing(target)
    _refuse_inside(bundle.path, target)
    _refuse_full(sum(entry.bytes for entry in bundle.manifest.files.values()), target)
    with new_folder(target) as work:
        for name in bundle.manifest.files:
            if progress:
                progress(name)
            _copy_file(bundle, name, work / name)
        save_manifest(work, bundle.manifest)


def _copy_file(bundle: Bundle, name: str, target: Path) -> None:
    digest = hashlib.sha256()
    with target.open("xb") as copy:
        for part in _parts(bundle.path / name):
            digest.update(part)
            copy.write(part)
    expected = bundle.manifest.files[name].sha256
    if digest.hexdigest() != expected:
        raise BundleCorruptError(
            f"{bundle.path / name} was altered: its SHA-256 is {digest.hexdigest()[:12]}…, its manifest says "
            f"{expected[:12]}…. Nothing was copied; export the bundle again, or take another copy of it."
        )


def _parts(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as source:
            while part := source.read(_AT_ONCE):
                yield part
    except OSError as error:
        raise BundleCorruptError(
            f"{path} cannot be read ({error.strerror}). Nothing was copied; check its permissions and the disk."
        ) from None


def _refuse_inside(source: Path, target: Path) -> None:
    if target.resolve().is_relative_to(source.resolve()):
        raise InputError(f"{target} lies inside the bundle {source}, expected a folder elsewhere.")


def _refuse_full(needed: int, target: Path) -> None:
    parent = next(folder for folder in target.absolute().parents if folder.exists())
    free = shutil.disk_usage(parent).free
    if needed > free:
        raise StorageError(
            f"{target} needs {needed / 1e6:,.0f} MB, {free / 1e6:,.0f} MB are free there. Nothing was copied; "
            "free some space, or choose another disk."
        )
