"""`rim-edge bundle sign`, and what `verify` and `trust` say of a signature."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rim_edge.cli.options import BundleArgument, JsonOption
from rim_edge.cli.output import console, print_json
from rim_edge.cli.progress import runtime_line

if TYPE_CHECKING:
    from rim_runtime.bundle.source import BundleSource

    from rim_edge.provenance.signing import Signature

PrivateKeyOption = Annotated[
    Path, typer.Option("--key", metavar="FILE", help="Your private key (PEM; P-256, P-384 or P-521).")
]
PublicKeyOption = Annotated[
    Path | None,
    typer.Option(
        "--key",
        metavar="FILE",
        help="The maker's public key (PEM): it must be signed with its private key.",
        show_default=False,
    ),
]
PassphraseOption = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help="Its first line opens the key; on a terminal you are asked for it.",
        show_default=False,
    ),
]


def sign(
    name: BundleArgument,
    key: PrivateKeyOption,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign a bundle with a key of yours, offline; exit 3 if a file is not whole.

    The signature (`model.sig`, the OpenSSF's model signing) lies in the folder and travels with it.
    """
    from rim_runtime.bundle.folder import Bundle
    from rim_runtime.bundle.names import find_bundle

    from rim_edge.extras import require_extra
    from rim_edge.provenance.signing import sign_bundle

    require_extra("sign", "Signing")
    bundle = Bundle.load(_folder(find_bundle(name)))
    passphrase = _passphrase(key, passphrase_file)
    with runtime_line() as progress:
        bundle.verify(progress)
    made = sign_bundle(bundle, key, passphrase)
    if as_json:
        told = {"name": bundle.manifest.name, "path": bundle.where, "manifest_sha256": bundle.manifest.sha256}
        print_json(told | {"signature": made.file, "key_sha256": made.key_sha256, "files": made.files})
    else:
        console().print(f"{bundle.manifest.name}: all {made.files} files are signed in {made.file}.")
        console().print(f"Whoever has your public key checks it with: rim-edge bundle verify {name} --key FILE")


def checked_signature(source: BundleSource, key: Path | None) -> Signature | None:
    """Check the signature of a bundle whose files were verified; None without a key. Raises what that does."""
    if key is None:
        return None
    from rim_edge.provenance.signing import check_signature

    return check_signature(source, key)


def _folder(place: Path) -> Path:
    from rim_runtime.bundle.source import is_zip
    from rim_runtime.errors import InputError

    if is_zip(place):
        raise InputError(
            f"{place} is a .zip file, expected a folder, where the signature can be written. Unpack it first: "
            f"rim-edge bundle copy {place} DIR"
        )
    return place


def _passphrase(key: Path, file: Path | None) -> bytes | None:
    """Return what opens a private key; None for one that is not locked. Raises SigningKeyError."""
    from rim_edge.errors import SigningKeyError
    from rim_edge.provenance.keys import is_locked

    if not is_locked(key):
        return None
    if file is not None:
        try:
            return (file.read_bytes().splitlines() or [b""])[0]
        except OSError as error:
            raise SigningKeyError(
                f"{file} cannot be read ({error.strerror}), expected the passphrase of {key} in its first line."
            ) from None
    if not sys.stdin.isatty():
        raise SigningKeyError(
            f"{key} is locked by a passphrase, and nobody can be asked for it, expected a terminal. "
            "Give a file that holds it: --passphrase-file FILE"
        )
    from getpass import getpass

    return getpass(f"Passphrase of {key}: ", sys.stderr).encode()
