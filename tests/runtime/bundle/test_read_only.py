"""A medium that nobody can write to: a bundle on it answers, in a folder and in a zip, with the home there too."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from rim_runtime import Engine, StorageError
from rim_runtime.bundle import unpacking

pytestmark = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0,
    reason="mounting needs root: a medium that is really read-only is NOT tested here",
)


@pytest.fixture
def medium(tiny_bundle: Path, tmp_path: Path) -> Iterator[Path]:
    """A read-only file system with the bundle `tiny`, its zip, and an empty folder `home`."""
    place = tmp_path / "medium"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "tmpfs", place], check=False, capture_output=True, timeout=300
    )
    if mounted.returncode:
        said = mounted.stderr.decode().strip()
        pytest.skip(f"this machine mounts no tmpfs, a medium that is really read-only is NOT tested here: {said}")
    try:
        shutil.copytree(tiny_bundle, place / "tiny")
        shutil.make_archive(str(place / "tiny"), "zip", tiny_bundle)
        (place / "home").mkdir(mode=0o700)
        subprocess.run(["mount", "-o", "remount,ro", place], check=True, timeout=300)
        with pytest.raises(OSError, match="Read-only file system"):
            (place / "home" / "file").touch()
        yield place
    finally:
        subprocess.run(["umount", place], check=True, timeout=300)


def test_a_bundle_on_it_answers(medium: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    question = "Which one?\nA: this\nB: that"
    with Engine.load(tiny_bundle) as engine:
        expected = engine.ask(question).letter_logits
    monkeypatch.setenv("RIM_EDGE_HOME", str(medium / "home"))
    for name in ("tiny", "tiny.zip"):
        with Engine.load(medium / name) as engine:
            assert engine.ask(question).letter_logits == expected
            assert "Until then the bundle is tested at every load" in " ".join(engine.notes)
    monkeypatch.setattr(unpacking, "HASH_EVERY_TIME", 0)
    with pytest.raises(StorageError, match="Read-only file system") as refused:
        Engine.load(medium / "tiny.zip")
    assert "unpack" in refused.value.__notes__[0]
