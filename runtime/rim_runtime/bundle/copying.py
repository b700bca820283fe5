"""Copy a bundle to another folder, or onto another disk: each file is checked while it is copied."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from rim_runtime.bundle.folder import MANIFEST, SIGNATURE, Bundle
from rim_runtime.bundle.source import BundleSource, checked_parts, manifest_bytes, signature_bytes
from rim_runtime.errors import InputError, StorageError
from rim_runtime.machine.storage import new_folder, refuse_existing
from rim_runtime.progress import OnProgress


def copy_bundle(
    source: BundleSource, target: Path, progress: OnProgress | None = None, doing: str = "copying"
) -> None:
    """Write the bundle's files and its signature, and nothing else that lies beside them, into `target`.

    It appears whole or not at all.
    Raises TargetExistsError and InputError (the target), StorageError (the disk refuses, or has no room for it)
    and BundleCorruptError (a file is not what the manifest says).
    """
    refuse_existing(target)
    if isinstance(source, Bundle):
        refuse_inside(source.path, target)
    refuse_full(source, source.manifest.files, target)
    with new_folder(target) as work:
        for name in source.manifest.files:
            with (work / name).open("xb") as copy:
                for part in checked_parts(source, name, progress, doing):
                    copy.write(part)
        (work / MANIFEST).write_bytes(manifest_bytes(source))
        if signature := signature_bytes(source):
            (work / SIGNATURE).write_bytes(signature)


def refuse_inside(source: Path, target: Path) -> None:
    """Raise InputError if a target lies inside a bundle's folder."""
    if target.resolve().is_relative_to(source.resolve()):
        raise InputError(f"{target} lies inside the bundle {source}, expected a folder elsewhere.")


def refuse_full(source: BundleSource, names: Iterable[str], target: Path) -> None:
    """Raise StorageError if there is no room at a target for these files of a bundle."""
    needed = sum(source.manifest.files[name].bytes for name in names)
    parent = next(folder for folder in target.absolute().parents if folder.exists())
    free = shutil.disk_usage(parent).free
    if needed > free:
        raise StorageError(
            f"{target} needs {needed / 1e6:,.0f} MB, {free / 1e6:,.0f} MB are free there. Nothing was copied; "
            "free some space, or choose another disk."
        )
