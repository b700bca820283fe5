"""Remove a bundle's folder: only what is certainly a bundle and holds nothing else."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rim_runtime.bundle.chosen import choose_bundle, chosen_bundle
from rim_runtime.bundle.control_characters import without_control_characters
from rim_runtime.bundle.folder import MANIFEST, SIGNATURE
from rim_runtime.bundle.names import DEMO, find_bundle, name_of
from rim_runtime.errors import BundleNotFoundError, InputError, StorageError
from rim_runtime.machine.json_files import read_json


@dataclass(frozen=True)
class Removable:
    """A bundle that may be removed."""

    path: Path
    """Its folder."""
    bytes: int
    """Size of all its files."""


def removable(folder: Path) -> Removable:
    """Check that a folder is a bundle of the user's, whole or damaged, and holds nothing else.

    Raises BundleNotFoundError (it is no bundle) and InputError (the demo, a link, files that are no part of it).
    """
    if name_of(folder.resolve()) == DEMO:
        raise InputError(
            "The demo is part of the installation, expected a bundle of your own. Nothing was removed."
        )
    if folder.is_file():
        raise InputError(f"{folder} is a file, expected a folder. Nothing was removed; delete the file yourself.")
    if folder.is_symlink():
        raise InputError(
            f"{folder} is a link to {folder.resolve()}, expected the folder itself. Remove that, then the link."
        )
    ours = {MANIFEST, SIGNATURE, *_listed(folder)}
    others = sorted({path.name for path in folder.iterdir()} - ours)
    if others:
        shown = without_control_characters(", ".join(others[:5]) + (", …" if len(others) > 5 else ""))
        raise InputError(f"{folder} holds what is no part of the bundle: {shown}. Move it away first.")
    return Removable(folder, sum(path.stat().st_size for path in folder.iterdir()))


def remove_bundle(bundle: Removable) -> bool:
    """Remove a bundle's folder and return whether it was the chosen default, which is forgotten then.

    The folder is moved aside first: nobody finds half a bundle in its place. Raises StorageError.
    """
    was_default = _is_chosen(bundle.path)
    try:
        aside = Path(tempfile.mkdtemp(prefix=f".{bundle.path.name}.", dir=bundle.path.parent))
        try:
            bundle.path.rename(aside / bundle.path.name)
        except OSError:
            aside.rmdir()
            raise
    except OSError as error:
        raise StorageError(f"Cannot remove {bundle.path} ({error.strerror}). It is whole, as before.") from None
    if was_default:
        choose_bundle(None)
    try:
        shutil.rmtree(aside)
    except OSError as error:
        raise StorageError(
            f"The bundle is removed, but its files are still at {aside} ({error.strerror}). Delete that folder."
        ) from None
    return was_default


def _listed(folder: Path) -> set[str]:
    """Return the files that a folder's manifest lists; a damaged bundle may be removed too."""
    try:
        body = read_json(folder / MANIFEST) if (folder / MANIFEST).is_file() else None
        if not isinstance(body, dict) or "manifest_sha256" not in body:
            raise BundleNotFoundError(f"{folder} is no bundle: it has no {MANIFEST} of ours. Nothing was removed.")
        return {str(name) for name in body["files"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, BundleNotFoundError):
            raise
        raise BundleNotFoundError(
            f"{folder / MANIFEST} cannot be read ({error}), so nobody knows whether this is a bundle. Nothing was "
            "removed; delete the folder yourself if you mean it."
        ) from None


def _is_chosen(folder: Path) -> bool:
    try:
        chosen = chosen_bundle()
        return chosen is not None and find_bundle(chosen).absolute() == folder.absolute()
    except InputError:
        return False
