"""Sign a bundle with a key of one's own, and check such a signature, without any network.

The format is the OpenSSF's model signing (a Sigstore bundle over an in-toto statement that names every file with
its SHA-256), written and read by its reference package: `model_signing verify key` accepts what is written here,
and what `model_signing sign key` wrote is accepted here.

A bundle's files were hashed when it was verified, so nothing is read twice: the package is given these hashes.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from rim_runtime.bundle.folder import MANIFEST, SIGNATURE, Bundle
from rim_runtime.bundle.source import BundleSource, manifest_bytes, signature_bytes
from rim_runtime.errors import TargetExistsError
from rim_runtime.machine.storage import write_bytes

from rim_edge.errors import SignatureError
from rim_edge.extras import require_extra
from rim_edge.provenance.keys import check_private_key, check_public_key

if TYPE_CHECKING:
    from model_signing.manifest import Manifest as SignedFiles

_HOW = {"method": "files", "hash_type": "sha256", "allow_symlinks": True}
"""How the files are hashed, as the statement says it: whole, and through links, as hub caches have them."""


@dataclass(frozen=True)
class Signature:
    """A signature that was made, or found good."""

    file: str
    """Where it lies."""
    key_sha256: str
    """SHA-256 of the public key's PEM form, as the signature names it."""
    files: int
    """How many files it is over, the manifest among them."""


def sign_bundle(bundle: Bundle, key: Path, passphrase: bytes | None = None) -> Signature:
    """Write `model.sig` into a bundle whose files were verified; nothing else there changes.

    Raises MissingExtraError, SigningKeyError, TargetExistsError (it is signed already) and StorageError.
    """
    require_extra("sign", "Signing")
    from model_signing import signing

    check_private_key(key, passphrase)
    target = bundle.path / SIGNATURE
    if target.exists():
        raise TargetExistsError(f"{bundle.path} is signed already. Delete {target} to sign it anew.")
    hashes = _hashes(bundle)
    config = signing.Config().set_hashing_config(_KnownHashes(bundle, hashes))
    config.use_elliptic_key_signer(private_key=key, password=passphrase)
    with tempfile.TemporaryDirectory(prefix="rim-edge-") as folder:
        made = Path(folder) / SIGNATURE
        config.sign(bundle.path, made)
        content = made.read_bytes()
    write_bytes(target, content)
    return Signature(str(target), _key_of(content), len(hashes))


def check_signature(source: BundleSource, key: Path) -> Signature:
    """Check that the owner of a public key signed this bundle, whose files were verified.

    Raises MissingExtraError, SigningKeyError (no public key) and SignatureError (unsigned, by another key, over
    other files).
    """
    require_extra("sign", "Checking a signature")
    check_public_key(key)
    content = signature_bytes(source)
    if content is None:
        raise SignatureError(
            f"{source.where} is not signed: it has no {SIGNATURE}, expected one by the owner of {key}. "
            "Ask whoever made it for a signed copy."
        )
    hashes = _hashes(source)
    with tempfile.TemporaryDirectory(prefix="rim-edge-") as folder:
        written = Path(folder) / SIGNATURE
        written.write_bytes(content)
        _check(source, key, written, hashes)
    return Signature(f"{source.where}/{SIGNATURE}", _key_of(content), len(hashes))


def _check(source: BundleSource, key: Path, signature: Path, hashes: Mapping[str, str]) -> None:
    from cryptography.exceptions import InvalidSignature
    from model_signing import verifying

    config = verifying.Config().use_elliptic_key_verifier(public_key=key)
    config.set_hashing_config(_KnownHashes(source, hashes)).set_ignore_unsigned_files(True)
    about = f"{source.where}/{SIGNATURE}"
    try:
        with redirect_stdout(sys.stderr):  # of older signatures it prints that they are old
            config.verify(Path(source.where), signature)
    except SignatureError:
        raise
    except InvalidSignature:
        raise SignatureError(f"{about} was not made with the key of {key}, or was altered. {_ADVICE}") from None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise SignatureError(f"{about} {_fault(str(error), key)}. {_ADVICE}") from None


_ADVICE = "Do not trust this copy before you know why."


def _fault(text: str, key: Path) -> str:
    if text.startswith("Key mismatch"):
        return f"was made with another key than that of {key}"
    if text.startswith("Signature mismatch"):
        names = re.findall(r"mismatch for \\*'([^'\\]+)", text)
        return f"signs other files than these ({', '.join(names[:3])})"
    return f"cannot be read as a signature ({' '.join(text.split())[:200]})"


def _hashes(source: BundleSource) -> dict[str, str]:
    """Return the SHA-256 of every file of a bundle, the manifest's too."""
    files = {name: entry.sha256 for name, entry in source.manifest.files.items()}
    return {MANIFEST: hashlib.sha256(manifest_bytes(source)).hexdigest(), **files}


@dataclass(frozen=True)
class _KnownHashes:
    """Stands where the package hashes files: the hashes of a bundle's are known already."""

    source: BundleSource
    hashes: Mapping[str, str]

    def add_ignored_paths(self, *, model_path: Path, paths: Iterable[object]) -> None:
        """Take what a signature leaves out: the bundle's own files say what must be signed."""

    def hash(self, model_path: Path, *, files_to_hash: Iterable[Path] | None = None) -> SignedFiles:
        """Return the known hashes; `files_to_hash` are the files that a signature names. Raises SignatureError."""
        if files_to_hash is None:
            return _signed_files(self.source, self.hashes)
        named = [Path(file).relative_to(model_path).as_posix() for file in files_to_hash]
        if missing := sorted(set(self.hashes) - set(named)):
            raise SignatureError(
                f"{self.source.where}/{SIGNATURE} does not sign {', '.join(missing[:3])}, expected each file of "
                f"the bundle by its SHA-256. {_ADVICE}"
            )
        others = {name: _hash_beside(self.source, name) for name in named if name not in self.hashes}
        return _signed_files(self.source, {**self.hashes, **others})


def _hash_beside(source: BundleSource, name: str) -> str:
    """Return the hash of a file that is signed with a bundle and no part of it; '' if it is not there."""
    try:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            return ""
        with source.open_binary(name) as file:
            return hashlib.sha256(file.read()).hexdigest()
    except (OSError, KeyError):
        return ""


def _signed_files(source: BundleSource, hashes: Mapping[str, str]) -> SignedFiles:
    from model_signing import manifest
    from model_signing._hashing.hashing import Digest

    items = [
        manifest.FileManifestItem(path=PurePosixPath(name), digest=Digest("sha256", bytes.fromhex(sha256)))
        for name, sha256 in hashes.items()
    ]
    return manifest.Manifest(source.manifest.name, items, manifest.SerializationType.from_args(_HOW))


def _key_of(signature: bytes) -> str:
    """Return the hash of the public key that a signature names."""
    return str(json.loads(signature)["verificationMaterial"]["publicKey"].get("hint", ""))
