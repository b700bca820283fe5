"""A bundle on disk: load it, save one, and check that its files are what its manifest says (DESIGN 5).

manifest.json · model.<variant>.onnx + .onnx.data · tokenizer.json · golden.jsonl · certificate.json ·
LICENSE · MODEL_CARD.md
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from rim_runtime.bundle.control_characters import refuse_control_characters, without_control_characters
from rim_runtime.bundle.external_data import check_locations
from rim_runtime.bundle.latent import check_latent
from rim_runtime.bundle.manifest import Dialect, FileEntry, Manifest, Precision, Variant
from rim_runtime.bundle.roles import all_graphs, check_roles
from rim_runtime.errors import BundleCorruptError, BundleNotFoundError, RimError
from rim_runtime.machine.json_files import parse_json
from rim_runtime.machine.open_file import OpenFile
from rim_runtime.progress import OnProgress, Progress, Stage

MANIFEST = "manifest.json"
TOKENIZER = "tokenizer.json"
GOLDEN = "golden.jsonl"
CERTIFICATE = "certificate.json"
REQUIRED = (TOKENIZER, GOLDEN, CERTIFICATE)
SIGNATURE = "model.sig"
"""What its maker may have signed it with. It is over the manifest too, which therefore cannot list it."""


@dataclass(frozen=True)
class GoldenQuestion:
    """A question that every variant answers like the reference, with a clear margin."""

    question: str
    """The whole text, options included."""
    blocks: int
    """Memory blocks it was asked with."""
    letter: str
    """The reference's letter."""
    log_probabilities: tuple[float, ...]
    """The reference's log-probabilities over all letters, in the manifest's order."""

    def to_json(self) -> str:
        """Return the line of `golden.jsonl`."""
        return json.dumps(
            {
                "question": self.question,
                "blocks": self.blocks,
                "letter": self.letter,
                "log_probabilities": list(self.log_probabilities),
            },
            ensure_ascii=False,
        )

    @classmethod
    def from_json(cls, line: str) -> GoldenQuestion:
        """Read a line of `golden.jsonl`. Raises ValueError, KeyError, TypeError or OverflowError if it is bad."""
        row = parse_json(line)
        question, blocks, letter = row["question"], row["blocks"], row["letter"]
        if not (isinstance(question, str) and isinstance(letter, str)):
            raise TypeError("question and letter are not both texts")
        return cls(question, blocks, letter, tuple(map(float, row["log_probabilities"])))


@dataclass(frozen=True)
class Bundle:
    """A bundle whose manifest was read and whose files exist; `verify` checks their content."""

    path: Path
    """The folder."""
    manifest: Manifest
    """What it says about itself."""

    @property
    def where(self) -> str:
        """Its folder, as errors name it."""
        return str(self.path)

    @classmethod
    def load(cls, path: str | Path) -> Bundle:
        """Read a bundle's manifest and check that its files exist and have the right sizes.

        Raises BundleNotFoundError, BundleVersionError and BundleCorruptError, in this order.
        """
        folder = Path(path)
        try:
            return cls._load(folder)
        except RimError:
            raise
        except (OSError, ValueError) as error:  # a folder that may not be entered, a name too long or with a NUL
            why = error.strerror if isinstance(error, OSError) else str(error)
            shown = str(folder) if len(str(folder)) < 300 else f"{str(folder)[:100]}…"
            raise BundleNotFoundError(
                f"{shown!r} cannot be read ({why}), expected a bundle's folder. Check the path and permissions."
            ) from None

    @classmethod
    def _load(cls, folder: Path) -> Bundle:
        if folder.is_file():
            raise BundleNotFoundError(f"{folder} is a file, expected a folder or a .zip file.")
        if not folder.is_dir():
            raise BundleNotFoundError(
                f"There is no bundle at {folder}, expected a folder. Make one with: rim-edge export -o {folder}"
            )
        if not (folder / MANIFEST).is_file():  # and never read a pipe, which would wait forever
            raise BundleNotFoundError(
                f"{folder} is not a bundle: it has no {MANIFEST}. Make one with 'rim-edge export'."
            )
        try:
            text = OpenFile(folder / MANIFEST).read().decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BundleCorruptError(f"{folder / MANIFEST} cannot be read ({error}). Copy it again.") from None
        bundle = cls(folder, Manifest.from_json(text, str(folder / MANIFEST)))
        bundle._check_files()
        return bundle

    def _check_files(self) -> None:
        check_listing(self.manifest, str(self.path / MANIFEST))
        for name, entry in self.manifest.files.items():
            self._check_size(name, entry)

    def _check_size(self, name: str, entry: FileEntry) -> None:
        path = self.path / name
        try:
            if not path.is_file():
                raise BundleCorruptError(f"{path} is missing, its manifest lists it. Copy the bundle again.")
            size = path.stat().st_size
        except OSError as error:
            raise _unreadable(path, error) from None
        if size != entry.bytes:
            raise BundleCorruptError(
                f"{path} has {size:,} bytes, its manifest says {entry.bytes:,}. Copy the bundle again."
            )

    def verify(self, progress: OnProgress | None = None) -> None:
        """Hash every file and check which files graphs read. Raises BundleCorruptError for the first fault."""
        for name in self.manifest.files:
            self.verify_file(name, progress)
        for variant in all_graphs(self.manifest):
            check_locations(self.read_file(variant.graph), self.path / variant.graph, variant.data)

    def verify_file(self, name: str, progress: OnProgress | None = None) -> None:
        """Hash one file of the manifest. Raises BundleCorruptError if the hash differs."""
        try:
            found = self.hash_file(name, self.open_file(name), f"hashing {name}", progress)
        except OSError as error:
            raise _unreadable(self.path / name, error) from None
        self.check_hash(name, found)

    def hash_file(self, name: str, opened: OpenFile, text: str, progress: OnProgress | None) -> str:
        """Return the SHA-256 of a file of the manifest; `text` is what progress says of it. Raises OSError."""
        total = self.manifest.files[name].bytes
        return opened.sha256(progress and (lambda done: progress(Progress(Stage.HASH, done, total, text))))

    def open_file(self, name: str) -> OpenFile:
        """Open a file of the folder. Raises BundleCorruptError if it cannot be read."""
        try:
            return OpenFile(self.path / name)
        except OSError as error:
            raise _unreadable(self.path / name, error) from None

    def open_binary(self, name: str) -> BinaryIO:
        """Open a file of the folder, to be read once from its start. Raises OSError."""
        return (self.path / name).open("rb")

    def read_file(self, name: str, opened: OpenFile | None = None) -> bytes:
        """Return the content of a file of the manifest, opened already or not, after its hash was checked.

        Raises BundleCorruptError if it cannot be read or the hash differs.
        """
        try:
            content = (opened or self.open_file(name)).read()
        except OSError as error:
            raise _unreadable(self.path / name, error) from None
        self.check_hash(name, hashlib.sha256(content).hexdigest())
        return content

    def check_hash(self, name: str, found: str) -> None:
        """Raise BundleCorruptError unless this is the SHA-256 that the manifest has for a file."""
        expected = self.manifest.files[name].sha256
        if found != expected:
            raise BundleCorruptError(
                f"{self.path / name} was altered: its SHA-256 is {found[:12]}…, its manifest says "
                f"{expected[:12]}…. Copy or export the bundle again."
            )

    def variant(self, precision: Precision | None = None, dialects: Sequence[Dialect] = tuple(Dialect)) -> Variant:
        """Return the variant of a precision (None: the default one), in the first of these dialects that exists.

        Raises BundleNotFoundError.
        """
        readable = [variant for variant in self.manifest.variants if variant.dialect in dialects]
        wanted = precision or (readable[0].precision if readable else None)
        found = [variant for variant in readable if variant.precision is wanted]
        if not found:
            has = ", ".join(variant.name for variant in self.manifest.variants)
            what = f"{precision} variant" if precision else f"variant in the dialect {' or '.join(dialects)}"
            raise BundleNotFoundError(
                f"{self.path} has no {what}, it has {has}. Export one with --precision {precision or 'int8'}."
            )
        return min(found, key=lambda variant: dialects.index(variant.dialect))

    def golden_questions(self) -> tuple[GoldenQuestion, ...]:
        """Read `golden.jsonl`, its hash checked. Raises BundleCorruptError."""
        path = self.path / GOLDEN
        try:
            lines = self.read_file(GOLDEN).decode("utf-8").split("\n")  # splitlines would cut inside a question
            golden = tuple(GoldenQuestion.from_json(line) for line in lines if line)
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise BundleCorruptError(f"{path} cannot be read ({error!r}). Export the bundle again.") from None
        if not golden:
            raise BundleCorruptError(f"{path} has no question, expected 4 to 32. Export the bundle again.")
        proven, blocks = max(question.blocks for question in golden), self.manifest.prompt.blocks
        if proven < blocks:  # the graph may have fewer
            raise BundleCorruptError(
                f"{path} asks with up to {proven} memory blocks, its manifest says {blocks}. "
                "Export the bundle again."
            )
        return golden

    def certificate(self) -> Mapping[str, Any]:
        """Read `certificate.json`, its hash checked: how each variant compares with the checkpoint.

        Raises BundleCorruptError.
        """
        return parse_certificate(self.read_file(CERTIFICATE), str(self.path / CERTIFICATE))

    def unlisted_files(self) -> tuple[str, ...]:
        """Return the files in the folder that are not part of the bundle; nothing reads them."""
        listed = {MANIFEST, SIGNATURE, *self.manifest.files}
        names = sorted(path.name for path in self.path.iterdir() if path.name not in listed)
        return tuple(map(without_control_characters, names))


def parse_certificate(content: bytes, where: str) -> Mapping[str, Any]:
    """Return what is in `certificate.json`, as Bundle.certificate does."""
    try:
        body = parse_json(content.decode("utf-8"))
    except ValueError as error:
        raise BundleCorruptError(f"{where} cannot be read ({error}). Export the bundle again.") from None
    if not isinstance(body, dict):
        raise BundleCorruptError(f"{where} is {body!r}, expected a JSON object. Export the bundle again.")
    refuse_control_characters(body, where)
    return body


def check_listing(manifest: Manifest, where: str) -> None:
    """Raise BundleCorruptError unless a manifest lists all files that its graphs need, under plain names alone."""
    check_roles(manifest, where)
    check_latent(manifest, where)
    needed = {*REQUIRED, *(name for graph in all_graphs(manifest) for name in (graph.graph, graph.data))}
    if unlisted := sorted(needed - set(manifest.files)):
        raise BundleCorruptError(f"{where} lists no {', '.join(unlisted)}. Export it again.")
    for name in manifest.files:
        if Path(name).name != name or name in ("", ".", ".."):
            raise BundleCorruptError(
                f"{where} lists {name!r}, which is no plain file name. Do not use this bundle."
            )


def _unreadable(path: Path, error: OSError) -> BundleCorruptError:
    return BundleCorruptError(
        f"{path} cannot be read ({error.strerror}). Check its permissions, or copy it again."
    )


def save_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json` into `folder`, whose files it lists with sizes and hashes."""
    (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")


def file_entries(folder: Path) -> Mapping[str, FileEntry]:
    """Return sizes and hashes of all files in a folder except the manifest, by name."""
    paths = sorted(path for path in folder.iterdir() if path.name != MANIFEST)
    return {path.name: FileEntry(path.stat().st_size, sha256_file(path)) for path in paths}


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's content, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
