"""`rim-edge bundle sign`, `verify --key` and `trust --key`: a key of one's own, no network, and whoever alters."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from rim_runtime import Engine
from rim_runtime.bundle.folder import SIGNATURE, Bundle, file_entries, save_manifest
from rim_runtime.bundle.trust import is_trusted

from rim_edge import extras
from tests.cli.test_bundle import with_plan as with_plan

Run = Callable[..., Any]
PASSPHRASE = "correct horse"


def write_keys(folder: Path, name: str, key: Any, passphrase: str | None = None) -> tuple[Path, Path]:
    """Write a private and a public key as openssl does, and return their files."""
    lock = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    private, public = folder / f"{name}.pem", folder / f"{name}-public.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return write_keys(tmp_path, "key", ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture
def signed(run: Run, tiny_bundle: Path, keys: tuple[Path, Path]) -> Path:
    done = run("bundle", "sign", str(tiny_bundle), "--key", str(keys[0]))
    assert done.code == 0, done.err
    return tiny_bundle


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every socket that is opened fail the test."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "__init__", refuse)


def test_a_signature_is_made_and_checked_without_a_network(
    run: Run, tiny_bundle: Path, keys: tuple[Path, Path], no_network: None
) -> None:
    before = {path.name: path.read_bytes() for path in tiny_bundle.iterdir()}
    made = run("bundle", "sign", str(tiny_bundle), "--key", str(keys[0]), "--json")
    assert made.code == 0, made.err
    assert made.json["files"] == len(before)
    assert {path.name: path.read_bytes() for path in tiny_bundle.iterdir() if path.name != SIGNATURE} == before
    checked = run("bundle", "verify", str(tiny_bundle), "--key", str(keys[1]), "--json").json
    assert (checked["signed"], checked["key_sha256"]) == (True, made.json["key_sha256"])
    assert checked["unlisted"] == []
    assert "It is signed by the owner of" in run("bundle", "verify", str(tiny_bundle), "--key", str(keys[1])).out
    unchecked = run("bundle", "verify", str(tiny_bundle), "--json").json
    assert (unchecked["signed"], unchecked["key_sha256"]) == (True, None)
    assert "by whom was not checked" in run("bundle", "verify", str(tiny_bundle)).out
    assert run("bundle", "info", str(tiny_bundle), "--json").json["signed"]
    assert (
        f"signed    by whom says: rim-edge bundle verify {tiny_bundle}"
        in run("bundle", "info", str(tiny_bundle)).out
    )


def test_a_signature_travels(run: Run, signed: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    """With a copy, in a zip, out of a zip; and it keeps nobody from loading or removing the bundle."""
    copy = tmp_path / "copy"
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, signed.name)
    assert run("bundle", "copy", packed, str(copy)).code == 0
    for place in (signed, packed, copy):
        checked = run("bundle", "verify", str(place), "--key", str(keys[1]), "--json")
        assert checked.code == 0, checked.err
        assert checked.json["unlisted"] == []
    with Engine.load(copy, engine="ort-cpu") as engine:
        assert engine.ask("Why?").letter
    assert run("bundle", "remove", str(copy), "--yes").code == 0


def test_another_layout_of_the_manifest_stays_signed(
    run: Run, tiny_bundle: Path, keys: Any, tmp_path: Path
) -> None:
    """A signature is over the manifest's bytes, so a copy has them as they were."""
    file = tiny_bundle / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8"))), encoding="utf-8")
    assert run("bundle", "sign", str(tiny_bundle), "--key", str(keys[0])).code == 0
    assert run("bundle", "copy", str(tiny_bundle), str(tmp_path / "copy")).code == 0
    assert run("bundle", "verify", str(tmp_path / "copy"), "--key", str(keys[1])).code == 0


@pytest.mark.parametrize("what", ["another file", "a file more", "its payload", "its bytes", "no JSON", "nothing"])
def test_what_was_altered_is_seen(run: Run, signed: Path, keys: tuple[Path, Path], what: str) -> None:
    """Also where the manifest was made to fit: then the hashes alone say that the bundle is whole."""
    signature, message = signed / SIGNATURE, "cannot be read as a signature"
    body = json.loads(signature.read_text(encoding="utf-8"))
    if what in ("another file", "a file more"):
        name = "LICENSE" if what == "another file" else "more.txt"
        manifest, kept = Bundle.load(signed).manifest, signature.read_bytes()
        (signed / name).write_text("free\n")
        signature.unlink()
        save_manifest(signed, replace(manifest, files=file_entries(signed)))
        signature.write_bytes(kept)
        message = (
            "signs other files than these (LICENSE, manifest.json)"
            if what == "another file"
            else "does not sign more.txt"
        )
    elif what == "its payload":
        payload = base64.b64decode(body["dsseEnvelope"]["payload"]).replace(b'"sha256"', b'"sha257"', 1)
        body["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
        signature.write_text(json.dumps(body))
        message = "was altered"
    elif what == "its bytes":
        del body["dsseEnvelope"]
        signature.write_text(json.dumps(body))
    elif what == "no JSON":
        signature.write_text("signed, yours truly")
    else:
        signature.unlink()
        message = "is not signed: it has no model.sig"
    assert run("bundle", "verify", str(signed)).code == 0
    failed = run("bundle", "verify", str(signed), "--key", str(keys[1]), "--json")
    assert (failed.code, failed.json["error"]["kind"]) == (3, "signature"), failed.err
    assert message in failed.err


def test_another_key_is_refused(run: Run, signed: Path, tmp_path: Path) -> None:
    """Also where the signature names the key that it is checked with."""
    _, public = write_keys(tmp_path, "other", ec.generate_private_key(ec.SECP384R1()))
    failed = run("bundle", "verify", str(signed), "--key", str(public))
    assert failed.code == 3
    assert f"was made with another key than that of {public}" in failed.err
    body = json.loads((signed / SIGNATURE).read_text(encoding="utf-8"))
    for hint in (None, hashlib.sha256(public.read_bytes()).hexdigest()):
        body["verificationMaterial"]["publicKey"]["hint"] = hint
        (signed / SIGNATURE).write_text(json.dumps(body))
        failed = run("bundle", "verify", str(signed), "--key", str(public))
        assert (failed.code, failed.out) == (3, "")
        assert "was not made with the key of" in failed.err


def test_a_damaged_bundle_is_not_signed(run: Run, tiny_bundle: Path, keys: tuple[Path, Path]) -> None:
    (tiny_bundle / "LICENSE").write_text("unkn0wn\n")
    failed = run("bundle", "sign", str(tiny_bundle), "--key", str(keys[0]))
    assert failed.code == 3
    assert "LICENSE was altered" in failed.err
    assert not (tiny_bundle / SIGNATURE).exists()


def test_what_is_signed_is_not_signed_over(run: Run, signed: Path, keys: tuple[Path, Path]) -> None:
    before = (signed / SIGNATURE).read_bytes()
    failed = run("bundle", "sign", str(signed), "--key", str(keys[0]))
    assert (failed.code, (signed / SIGNATURE).read_bytes()) == (2, before)
    assert f"Delete {signed / SIGNATURE} to sign it anew" in failed.err


def test_a_zip_is_not_signed(run: Run, tiny_bundle: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, tiny_bundle.name)
    failed = run("bundle", "sign", packed, "--key", str(keys[0]))
    assert failed.code == 2
    assert "is a .zip file, expected a folder" in failed.err


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("the public one", "is a public key, expected a private key"),
        ("RSA", "is a key for RSA, expected one on P-256, P-384 or P-521"),
        ("Ed25519", "is a key for Ed25519"),
        ("another curve", "is a key on the curve secp256k1"),
        ("no key", "is no key in PEM form"),
        ("missing", "cannot be read (No such file or directory)"),
        ("cut off", "cannot be opened"),
    ],
)
def test_a_key_that_cannot_sign(
    run: Run, tiny_bundle: Path, keys: tuple[Path, Path], tmp_path: Path, what: str, message: str
) -> None:
    private, public = keys
    if what == "the public one":
        private = public
    elif what == "RSA":
        private, _ = write_keys(tmp_path, "rsa", rsa.generate_private_key(65537, 2048))
    elif what == "Ed25519":
        private, _ = write_keys(tmp_path, "ed", ed25519.Ed25519PrivateKey.generate())
    elif what == "another curve":
        private, _ = write_keys(tmp_path, "k1", ec.generate_private_key(ec.SECP256K1()))
    elif what == "no key":
        private.write_text("correct horse")
    elif what == "missing":
        private.unlink()
    else:
        lines = private.read_text().splitlines()
        private.write_text("\n".join([lines[0], lines[1][:20], lines[-1]]))
    failed = run("bundle", "sign", str(tiny_bundle), "--key", str(private), "--json")
    assert (failed.code, failed.json["error"]["kind"]) == (2, "signing-key")
    assert message in failed.err
    assert not (tiny_bundle / SIGNATURE).exists()


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("the private one", "is a private key, expected a public key"),
        ("RSA", "is a key for RSA"),
        ("a certificate", "is a certificate, expected a public key"),
        ("cut off", "cannot be read"),
    ],
)
def test_a_key_that_checks_nothing(
    run: Run, signed: Path, keys: tuple[Path, Path], tmp_path: Path, what: str, message: str
) -> None:
    private, public = keys
    if what == "the private one":
        public = private
    elif what == "RSA":
        _, public = write_keys(tmp_path, "rsa", rsa.generate_private_key(65537, 2048))
    elif what == "a certificate":
        public.write_text(public.read_text().replace("PUBLIC KEY", "CERTIFICATE"))
    else:
        lines = public.read_text().splitlines()
        public.write_text("\n".join([lines[0], lines[1][:20], lines[-1]]))
    failed = run("bundle", "verify", str(signed), "--key", str(public), "--json")
    assert (failed.code, failed.json["error"]["kind"]) == (2, "signing-key")
    assert message in failed.err


def test_a_locked_key(run: Run, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, public = write_keys(tmp_path, "locked", ec.generate_private_key(ec.SECP521R1()), PASSPHRASE)
    sign = ("bundle", "sign", str(tiny_bundle), "--key", str(private))
    failed = run(*sign)
    assert failed.code == 2
    assert "nobody can be asked for it, expected a terminal" in failed.err
    written = tmp_path / "passphrase.txt"
    written.write_text("wrong\n")
    failed = run(*sign, "--passphrase-file", str(written))
    assert failed.code == 2
    assert "the passphrase is wrong" in failed.err
    assert "cannot be read" in run(*sign, "--passphrase-file", str(tmp_path / "nothing")).err
    written.write_text(f"{PASSPHRASE}\nmore\n")
    assert run(*sign, "--passphrase-file", str(written)).code == 0
    assert run("bundle", "verify", str(tiny_bundle), "--key", str(public)).code == 0
    (tiny_bundle / SIGNATURE).unlink()
    monkeypatch.setattr("getpass.getpass", lambda prompt, _: PASSPHRASE if str(private) in prompt else "")
    assert run(*sign, typed="").code == 0
    assert run("bundle", "verify", str(tiny_bundle), "--key", str(public)).code == 0


def test_trust_by_a_signature(run: Run, with_plan: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    """The plans of a bundle are loaded if the key's owner signed it, and not otherwise."""
    unsigned = run("bundle", "trust", str(with_plan), "--key", str(keys[1]))
    assert (unsigned.code, is_trusted(Bundle.load(with_plan).manifest)) == (3, False)
    assert run("bundle", "sign", str(with_plan), "--key", str(keys[0])).code == 0
    _, other = write_keys(tmp_path, "other", ec.generate_private_key(ec.SECP256R1()))
    assert run("bundle", "trust", str(with_plan), "--key", str(other)).code == 3
    assert not is_trusted(Bundle.load(with_plan).manifest)
    assert run("bundle", "trust", str(with_plan), "--key", str(keys[1]), "--json").json["trusted"]
    assert is_trusted(Bundle.load(with_plan).manifest)


def model_signing(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the package's own command."""
    command = [sys.executable, "-m", "model_signing", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_packages_own_command_takes_ours(signed: Path, keys: tuple[Path, Path]) -> None:
    checks = ("verify", "key", signed, "--signature", signed / SIGNATURE, "--public_key", keys[1])
    done = model_signing(*checks)
    assert (done.returncode, done.stdout) == (0, "Verification succeeded\n"), done.stderr
    (signed / "LICENSE").write_text("free\n")
    altered = model_signing(*checks)
    assert altered.returncode == 1
    assert "Hash mismatch" in altered.stderr


def test_we_take_the_packages_own(run: Run, tiny_bundle: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    """It signs whatever lies in the folder; what is no part of the bundle must be there, and as it was."""
    (tiny_bundle / "notes.txt").write_text("yours")
    done = model_signing(
        "sign", "key", tiny_bundle, "--signature", tiny_bundle / SIGNATURE, "--private_key", keys[0]
    )
    assert done.returncode == 0, done.stderr
    checks = ("bundle", "verify", str(tiny_bundle), "--key", str(keys[1]))
    assert run(*checks).code == 0
    (tiny_bundle / "notes.txt").write_text("mine")
    failed = run(*checks)
    assert failed.code == 3
    assert "signs other files than these (notes.txt)" in failed.err
    (tiny_bundle / "notes.txt").unlink()
    assert run(*checks).code == 3


def test_without_the_extra(run: Run, signed: Path, keys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.EXTRAS, "sign", ("no_such_module",))
    for command in (("sign", str(keys[0])), ("verify", str(keys[1])), ("trust", str(keys[1]))):
        failed = run("bundle", command[0], str(signed), "--key", command[1])
        assert failed.code == 4
        assert 'pip install "rim-edge[sign]"' in failed.err
