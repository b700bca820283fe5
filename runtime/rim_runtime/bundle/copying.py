"""Copy a bundle to another folder, or onto another disk: each file is checked while it is copied."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from rim_runtime.bundle.folder import Bundle, save_manifest
from rim_runtime.errors import BundleCorruptError, InputError, StorageError
from rim_runtime.machine.storage import new_folder, refuse_existing
from rim_runtime.progress import OnProgress, Progress, Stage

_AT_ONCE = 1 << 22
"""Bytes that are read, hashed and written at a time."""


def copy_bundle(bundle: Bundle, target: Path, progress: OnProgress | None = None) -> None:
    """Write the bundle's files, and nothing else from its folder, into `target`.

    It appears whole or not at all.
    Raises TargetExistsError and InputError (the target), StorageError (the disk refuses, or has no room for it)
    and BundleCorruptError (a file is not what the manifest says).
    """
    refuse_existing(target)
    _refuse_inside(bundle.path, target)
    _refuse_full(sum(entry.bytes for entry in bundle.manifest.files.values()), target)
    with new_folder(target) as work:
        for name in bundle.manifest.files:
            _copy_file(bundle, name, work / name, progress)
        save_manifest(work, bundle.manifest)


def _copy_file(bundle: Bundle, name: str, target: Path, progress: OnProgress | None) -> None:
    digest, done, entry = hashlib.sha256(), 0, bundle.manifest.files[name]
    with target.open("xb") as copy:
        for part in chain([b""], _parts(bundle.path / name)):  # the first is none: it is reported before it begins
            digest.update(part)
            copy.write(part)
            done += len(part)
            if progress:
                progress(Progress(Stage.COPY, done, entry.bytes, f"copying {name}"))
    if digest.hexdigest() != entry.sha256:
        raise BundleCorruptError(
            f"{bundle.path / name} was altered: its SHA-256 is {digest.hexdigest()[:12]}…, its manifest says "
            f"{entry.sha256[:12]}…. Nothing was copied; export the bundle again, or take another copy of it."
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
