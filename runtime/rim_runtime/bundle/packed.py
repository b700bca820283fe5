"""A bundle that lies in no folder: in a zip file, among a package's resources, or in a zip among those.

Nothing is unpacked by an entry's name: what is read are the files that the manifest lists, and their names are
plain. A zip that holds anything which could go elsewhere is refused all the same.
"""

from __future__ import annotations

import shutil
import stat
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import SpooledTemporaryFile
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

from rim_runtime.bundle.control_characters import without_control_characters
from rim_runtime.bundle.external_data import check_locations
from rim_runtime.bundle.folder import (
    CERTIFICATE,
    MANIFEST,
    SIGNATURE,
    Bundle,
    check_listing,
    parse_certificate,
)
from rim_runtime.bundle.integrity import HASH_EVERY_TIME
from rim_runtime.bundle.manifest import Manifest
from rim_runtime.bundle.roles import all_graphs
from rim_runtime.bundle.source import AT_ONCE, checked_parts, is_zip, unreadable
from rim_runtime.errors import BundleCorruptError, BundleNotFoundError
from rim_runtime.progress import OnProgress, Stage

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_LONGEST_MANIFEST = 64_000_000
"""More bytes than any manifest has: it is read whole before anything says how long it may be."""
_ENCRYPTED = 0x1
"""The bit of a zip entry's flags."""


@dataclass(frozen=True)
class PackedBundle:
    """A bundle whose manifest was read out of what packs it; it can be read while that is open."""

    where: str
    """What packs it, as errors name it."""
    manifest: Manifest
    """What it says about itself."""
    open: Callable[[str], IO[bytes]]
    """Opens one of its files by name."""
    names: tuple[str, ...]
    """All that lies there, as `unlisted_files` names it."""

    def open_binary(self, name: str) -> BinaryIO:
        """Open a file of the manifest. Raises any error."""
        return cast("BinaryIO", self.open(name))

    def verify(self, progress: OnProgress | None = None) -> None:
        """Hash every file and check which files graphs read. Raises BundleCorruptError for the first fault."""
        graphs = {variant.graph: variant.data for variant in all_graphs(self.manifest)}
        for name in self.manifest.files:
            parts = checked_parts(self, name, progress, "hashing", Stage.HASH)
            if name in graphs:
                check_locations(b"".join(parts), Path(f"{self.where}/{name}"), graphs[name])
            else:
                for _ in parts:
                    pass

    def certificate(self) -> Mapping[str, Any]:
        """Read `certificate.json`, its hash checked. Raises BundleCorruptError."""
        content = b"".join(checked_parts(self, CERTIFICATE, None, "reading"))
        return parse_certificate(content, f"{self.where}/{CERTIFICATE}")

    def unlisted_files(self) -> tuple[str, ...]:
        """Return the files beside the bundle's own; nothing reads them."""
        names = sorted({*self.names} - {MANIFEST, SIGNATURE, *self.manifest.files})
        return tuple(map(without_control_characters, names))


@contextmanager
def open_source(place: Path | Traversable) -> Iterator[Bundle | PackedBundle]:
    """Open a bundle in a folder, or a packed one, to look at it without unpacking it.

    Raises BundleNotFoundError, BundleVersionError and BundleCorruptError.
    """
    if isinstance(place, Path) and not is_zip(place):
        yield Bundle.load(place)
        return
    with open_packed(place) as packed:
        yield packed


@contextmanager
def open_packed(place: Path | Traversable) -> Iterator[PackedBundle]:
    """Open the bundle in a zip file, or among a package's resources, and read its manifest.

    Raises BundleNotFoundError, BundleVersionError and BundleCorruptError.
    """
    where = str(place).rstrip("/")
    if place.is_dir():
        names = (file.name for file in place.iterdir())
        yield _read(where, lambda name: place.joinpath(name).open("rb"), names)
        return
    if not place.is_file():
        raise BundleNotFoundError(f"There is no bundle at {where}, expected a folder or a .zip file.")
    if not place.name.lower().endswith(".zip"):
        raise BundleNotFoundError(f"{where} is a file, expected a folder or a .zip file.")
    try:
        stream = place.open("rb") if isinstance(place, Path) else _copied(place)
    except OSError as error:
        raise BundleNotFoundError(
            f"{where} cannot be read ({error.strerror}), expected a zip file. Check its permissions, and TMPDIR's."
        ) from None
    except Exception as error:  # of the zip that the resource lies in
        raise BundleCorruptError(
            f"{where} cannot be read ({error}). Take another copy of what holds it."
        ) from error
    with stream, _archive(stream, where) as archive:
        yield _read_zip(archive, where)


def _copied(place: Traversable) -> IO[bytes]:
    """Return a temporary copy of a resource: whoever seeks in one that is compressed unpacks it from its start."""
    copy = SpooledTemporaryFile(HASH_EVERY_TIME)  # noqa: SIM115 (whoever asked for it closes it)
    try:
        with place.open("rb") as resource:
            shutil.copyfileobj(resource, copy, AT_ONCE)
    except BaseException:
        copy.close()
        raise
    copy.seek(0)
    return copy


def _archive(stream: IO[bytes], where: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(stream)
    except Exception as error:
        raise BundleCorruptError(
            f"{where} cannot be read as a zip file ({error}): it was cut off, or is none. Copy it again."
        ) from error


def _read_zip(archive: zipfile.ZipFile, where: str) -> PackedBundle:
    entries = archive.infolist()
    for entry in entries:
        if why := _refusal(entry):
            shown = without_control_characters(entry.orig_filename)
            raise BundleCorruptError(f"{where} holds {shown!r}, {why}. Do not use this file.")
    counts = Counter(entry.filename for entry in entries)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise BundleCorruptError(f"{where} holds {twice[0]!r} twice, expected it once. Make the zip again.")
    top = _top(counts, where)
    files = (entry.filename for entry in entries if not entry.is_dir())
    packed = _read(where, lambda name: archive.open(top + name), (name.removeprefix(top) for name in files))
    sizes = {entry.filename: entry.file_size for entry in entries}
    for name, listed in packed.manifest.files.items():
        found = sizes.get(top + name)
        if found is None:
            raise BundleCorruptError(f"{where} holds no {name}, its manifest lists it. Make the zip again.")
        if found != listed.bytes:
            raise BundleCorruptError(
                f"{where}/{name} would have {found:,} bytes, its manifest says {listed.bytes:,}. Nothing was "
                "unpacked; take another copy."
            )
    return packed


def _refusal(entry: zipfile.ZipInfo) -> str | None:
    """Return why a zip with this entry is refused; None for an ordinary file or folder inside it."""
    name, kind = entry.orig_filename, stat.S_IFMT(entry.external_attr >> 16)
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or not parts[0] or ":" in parts[0] or "\\" in name or "\0" in name:
        return "which leads out of it or has no plain name"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "a link" if kind == stat.S_IFLNK else "which is neither a file nor a folder"
    if entry.flag_bits & _ENCRYPTED:
        return "which is encrypted, expected files that can be read"
    return None


def _top(names: Counter[str], where: str) -> str:
    """Return what stands before the bundle's names: nothing, or its one folder with a slash."""
    if MANIFEST in names:
        return ""
    found = [path.parent for path in map(PurePosixPath, names) if path.name == MANIFEST and len(path.parts) == 2]
    if len(found) > 1:
        raise BundleNotFoundError(
            f"{where} holds {len(found)} bundles ({', '.join(sorted(map(str, found)))}), expected one. "
            "Unpack it and give the folder."
        )
    if not found:
        raise BundleNotFoundError(f"{where} holds no bundle: no {MANIFEST} at its top or in a folder there.")
    return f"{found[0]}/"


def _read(where: str, open_file: Callable[[str], IO[bytes]], names: Iterable[str]) -> PackedBundle:
    try:
        with open_file(MANIFEST) as file:
            content = file.read(_LONGEST_MANIFEST + 1)
    except (FileNotFoundError, KeyError):
        raise BundleNotFoundError(f"{where} is not a bundle: it has no {MANIFEST}.") from None
    except Exception as error:
        raise unreadable(where, MANIFEST, error) from error
    if len(content) > _LONGEST_MANIFEST:
        raise BundleCorruptError(f"{where}/{MANIFEST} has over {_LONGEST_MANIFEST:,} bytes. Do not use this file.")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise unreadable(where, MANIFEST, error) from None
    manifest = Manifest.from_json(text, f"{where}/{MANIFEST}")
    check_listing(manifest, f"{where}/{MANIFEST}")
    return PackedBundle(where, manifest, open_file, tuple(names))
