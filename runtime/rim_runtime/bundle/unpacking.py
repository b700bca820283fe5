"""The folder of a bundle, wherever the bundle lies: one that is packed is unpacked first.

Bundles below HASH_EVERY_TIME bytes are unpacked into a temporary folder for the time of a load: engines read
them into memory. Of larger ones engines may map the weights, so these stay in the cache folder, within a limit.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.integrity import HASH_EVERY_TIME
from rim_runtime.bundle.source import is_zip
from rim_runtime.errors import CheckError, RimError, StorageError, TargetExistsError, UnavailableError
from rim_runtime.machine.folders import unpacked_folder
from rim_runtime.machine.limited_folder import make_room, remove
from rim_runtime.machine.log import tell
from rim_runtime.machine.ownership import written_by_others
from rim_runtime.progress import OnProgress, Progress, Stage

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from rim_runtime.bundle.packed import PackedBundle

MOST_BYTES = 10_000_000_000
"""Bytes that the folder of unpacked bundles may hold; the newest always stays."""
_LOOK_S = 0.2
"""How often is looked whether another process has unpacked the same bundle."""


@contextmanager
def unpacked(place: Path | Traversable, progress: OnProgress | None = None) -> Iterator[Path]:
    """Give the folder of a bundle: itself, or what a zip file or a resource was unpacked to.

    The folder may be gone after the block. `progress` may raise: then nothing was unpacked.
    Raises BundleNotFoundError, BundleVersionError, BundleCorruptError and StorageError.
    """
    if isinstance(place, Path) and not is_zip(place):
        yield place
        return
    from rim_runtime.bundle.packed import open_packed  # late: most bundles are folders

    with ExitStack() as stack:
        with open_packed(place) as packed:
            if _size(packed) < HASH_EVERY_TIME:
                folder = stack.enter_context(_temporary(packed, progress))
            else:
                folder = _kept(packed, progress)
        try:
            yield folder
        except (CheckError, UnavailableError) as error:
            error.add_note(f"The bundle was unpacked from {packed.where} to {folder}.")
            raise


@contextmanager
def _temporary(packed: PackedBundle, progress: OnProgress | None) -> Iterator[Path]:
    """Give a folder that only the user may enter, with the bundle; it is deleted after the block."""
    from rim_runtime.bundle.copying import copy_bundle

    try:
        made = tempfile.TemporaryDirectory(prefix="rim-edge-", ignore_cleanup_errors=True)
    except OSError as error:
        raise StorageError(
            f"{packed.where} cannot be unpacked: no folder for temporary files can be written ({error}). Set "
            "TMPDIR to one that can, or unpack it yourself and give the folder."
        ) from None
    with made as folder:
        target = Path(folder) / "bundle"
        copy_bundle(packed, target, progress, "unpacking")
        yield target


def _kept(packed: PackedBundle, progress: OnProgress | None) -> Path:
    """Return the folder in the cache where the bundle is unpacked, now or earlier."""
    from rim_runtime.bundle.copying import copy_bundle

    try:
        folder = unpacked_folder() / packed.manifest.sha256[:32]
        if why := written_by_others(folder):
            raise StorageError(why)
        while not (there := folder.exists()) or not _is_whole(folder, packed):
            if there:
                remove(folder)
            with suppress(TargetExistsError):
                copy_bundle(packed, folder, progress, "unpacking")
                tell("unpacked %s to %s", packed.where, folder)
                make_room(folder, MOST_BYTES)
                return folder
            _wait(packed, progress)
    except StorageError as error:
        error.add_note(f"Or unpack {packed.where} yourself and give the folder.")
        raise
    with suppress(OSError):
        os.utime(folder)  # what was used last is removed last
    return folder


def _is_whole(folder: Path, packed: PackedBundle) -> bool:
    try:
        return Bundle.load(folder).manifest.sha256 == packed.manifest.sha256
    except RimError:
        return False


def _wait(packed: PackedBundle, progress: OnProgress | None) -> None:
    """Wait a moment for another process, or thread, that unpacks the same bundle."""
    if progress:
        text = f"waiting for another process that unpacks {packed.where}"
        progress(Progress(Stage.COPY, 0, _size(packed), text))
    time.sleep(_LOOK_S)


def _size(packed: PackedBundle) -> int:
    return sum(entry.bytes for entry in packed.manifest.files.values())
