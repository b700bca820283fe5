"""Where a bundle's files are read from, a part at a time: a folder, or what packs one (packed.py)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from rim_runtime.bundle.folder import MANIFEST, SIGNATURE
from rim_runtime.bundle.manifest import Manifest
from rim_runtime.errors import BundleCorruptError
from rim_runtime.progress import OnProgress, Progress, Stage

AT_ONCE = 1 << 22
"""Bytes that are read, hashed and written at a time."""
_LONGEST_SIGNATURE = 10_000_000
"""More bytes than any signature has: it names each file once."""


class BundleSource(Protocol):
    """A bundle whose manifest was read."""

    @property
    def where(self) -> str:
        """How errors name it: its path."""

    @property
    def manifest(self) -> Manifest:
        """What it says about itself."""

    def open_binary(self, name: str) -> BinaryIO:
        """Open a file of the manifest, the manifest itself, or its signature. Raises any error."""


def is_zip(path: Path) -> bool:
    """Whether a path is a file that is called `.zip`. Raises OSError."""
    return path.suffix.lower() == ".zip" and path.is_file()


def checked_parts(
    source: BundleSource, name: str, progress: OnProgress | None, doing: str, stage: Stage = Stage.COPY
) -> Iterator[bytes]:
    """Yield the content of one file of a bundle; `doing` is what progress says of it, as "copying".

    Raises BundleCorruptError: as soon as the file is longer than its manifest says, and at its end if it is
    shorter or its SHA-256 differs.
    """
    digest, done, entry = hashlib.sha256(), 0, source.manifest.files[name]

    def report() -> None:
        if progress:
            progress(Progress(stage, done, entry.bytes, f"{doing} {name}"))

    report()
    for part in _parts(source, name):
        done += len(part)
        if done > entry.bytes:
            break
        digest.update(part)
        yield part
        report()
    if done != entry.bytes:
        found = f"more than {entry.bytes:,} bytes" if done > entry.bytes else f"{done:,} bytes"
        raise BundleCorruptError(
            f"{source.where}/{name} has {found}, its manifest says {entry.bytes:,}. Take another copy of it."
        )
    if digest.hexdigest() != entry.sha256:
        raise BundleCorruptError(
            f"{source.where}/{name} was altered: its SHA-256 is {digest.hexdigest()[:12]}…, its manifest says "
            f"{entry.sha256[:12]}…. Export the bundle again, or take another copy of it."
        )


def manifest_bytes(source: BundleSource) -> bytes:
    """Return `manifest.json` as it lies there: a signature is over these bytes.

    Raises BundleCorruptError if it is no longer the manifest that was read.
    """
    content = b"".join(_parts(source, MANIFEST))
    where = f"{source.where}/{MANIFEST}"
    try:
        now = Manifest.from_json(content.decode("utf-8"), where)
    except UnicodeDecodeError as error:
        raise unreadable(source.where, MANIFEST, error) from None
    if now.sha256 != source.manifest.sha256:
        raise BundleCorruptError(f"{where} was changed while it was read, expected one that stays. Try again.")
    return content


def signature_bytes(source: BundleSource) -> bytes | None:
    """Return the signature beside a bundle, unchecked; None if there is none. Raises BundleCorruptError."""
    try:
        with source.open_binary(SIGNATURE) as file:
            content = file.read(_LONGEST_SIGNATURE + 1)
    except (FileNotFoundError, KeyError):
        return None
    except Exception as error:
        raise unreadable(source.where, SIGNATURE, error) from error
    if len(content) > _LONGEST_SIGNATURE:
        raise BundleCorruptError(
            f"{source.where}/{SIGNATURE} has over {_LONGEST_SIGNATURE:,} bytes, expected a signature. Delete it."
        )
    return content


def _parts(source: BundleSource, name: str) -> Iterator[bytes]:
    try:
        file = source.open_binary(name)
    except Exception as error:
        raise unreadable(source.where, name, error) from error
    with file:
        while True:
            try:
                part = file.read(AT_ONCE)
            except Exception as error:
                raise unreadable(source.where, name, error) from error
            if not part:
                return
            yield part


def unreadable(where: str, name: str, error: Exception) -> BundleCorruptError:
    """Return the error for a file that cannot be read; zip's compressors raise errors without a common base."""
    why = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return BundleCorruptError(
        f"{where}/{name} cannot be read ({why}). Check its permissions and the disk, or take another copy."
    )
