"""The user's own keys, in PEM files: read only to say what is wrong with one before it is used.

A bundle is signed on the curves that the OpenSSF's model signing takes: P-256, P-384 and P-521.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from rim_edge.errors import SigningKeyError

CURVES = ("secp256r1", "secp384r1", "secp521r1")
"""P-256, P-384 and P-521, as cryptography calls them."""
MAKE_KEY = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes-256-cbc -out key.pem"
MAKE_PUBLIC = "openssl pkey -in key.pem -pubout -out public.pem"
_LOCKED = ("ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED")


def is_locked(key: Path) -> bool:
    """Whether a private key needs a passphrase. Raises SigningKeyError if its file cannot be read."""
    text = _read(key).decode("utf-8", "replace")
    return any(sign in text for sign in _LOCKED)


def check_private_key(key: Path, passphrase: bytes | None) -> None:
    """Raise SigningKeyError unless bundles can be signed with this key, opened by this passphrase."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    content = _read(key)
    if kind := _other_kind(content, "PRIVATE KEY"):
        raise SigningKeyError(
            f"{key} is {kind}, expected a private key in PEM form. Give the file that this made: {MAKE_KEY}"
        )
    try:
        loaded = load_pem_private_key(content, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        why = "the passphrase is wrong, or the file is damaged" if passphrase else _first_line(error)
        raise SigningKeyError(f"The private key {key} cannot be opened ({why}). Try again.") from None
    _check_curve(key, loaded)


def check_public_key(key: Path) -> None:
    """Raise SigningKeyError unless signatures can be checked with this key."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    content = _read(key)
    if kind := _other_kind(content, "PUBLIC KEY"):
        raise SigningKeyError(
            f"{key} is {kind}, expected a public key in PEM form. Take it out of its private key: {MAKE_PUBLIC}"
        )
    try:
        loaded = load_pem_public_key(content)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SigningKeyError(
            f"The public key {key} cannot be read ({_first_line(error)}). Take another copy of it."
        ) from None
    _check_curve(key, loaded)


def _read(key: Path) -> bytes:
    try:
        return key.read_bytes()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise SigningKeyError(
            f"{key} cannot be read ({why}), expected a key in PEM form. Check the path."
        ) from None


def _other_kind(content: bytes, wanted: str) -> str | None:
    """Return what a file holds instead of the kind of PEM block that is wanted; None if it holds that."""
    titles = re.findall(r"-----BEGIN ([A-Z0-9 ]+)-----", content.decode("utf-8", "replace"))
    if any(title.endswith(wanted) and "OPENSSH" not in title for title in titles):
        return None
    if not titles:
        return "no key in PEM form"
    last = titles[-1].lower()
    return f"{'an' if last[0] in 'aeiou' else 'a'} {last}"


def _check_curve(key: Path, loaded: Any) -> None:
    curve = getattr(getattr(loaded, "curve", None), "name", None)
    if curve not in CURVES:
        found = (
            f"on the curve {curve}"
            if curve
            else f"for {re.sub('(Public|Private)Key$', '', type(loaded).__name__)}"
        )
        raise SigningKeyError(
            f"{key} is a key {found}, expected one on P-256, P-384 or P-521. Make one: {MAKE_KEY}"
        )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
