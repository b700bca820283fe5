"""What is kept counts only in folders of the user's own: by mode, and by owner where the tests run as root."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rim_runtime import Bundle, BundleCorruptError, Engine, Progress, SelfTestError, Stage, StorageError
from rim_runtime.bundle import integrity
from rim_runtime.bundle.trust import is_trusted, trust
from rim_runtime.machine.folders import cache_folder, home_folder, plans_folder, trust_file
from rim_runtime.machine.open_file import OpenFile
from rim_runtime.machine.ownership import make_folder, written_by_others
from rim_runtime.machine.records import Records
from rim_runtime.machine.storage import write_file
from rim_runtime.tensorrt.plan_cache import keep_plan, recall_plan

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has access lists instead of modes")
FACTS = {"graph_sha256": "0" * 64, "target": "sm_89"}
NOBODY = 65534
as_root = pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root can give files away")
Spoil = Callable[[Path], object]
WAYS = [
    pytest.param(lambda path: path.chmod(0o777), id="writable by all"),
    pytest.param(lambda path: path.chmod(path.stat().st_mode | 0o020), id="writable by the group"),
    pytest.param(lambda path: os.chown(path, NOBODY, NOBODY), id="another owner", marks=as_root),
]


def folders() -> list[Path]:
    return [home_folder(), cache_folder()]


@pytest.mark.parametrize("spoil", WAYS)
@pytest.mark.parametrize("which", [0, 1, 2])
def test_records_in_a_foreign_folder_do_not_count(tiny_bundle: Path, spoil: Spoil, which: int) -> None:
    Engine.load(tiny_bundle).close()
    assert Engine.load(tiny_bundle).notes == ()
    spoiled = [*folders(), cache_folder() / "selftests"][which]
    spoil(spoiled)
    asked: list[Progress] = []
    with Engine.load(tiny_bundle, progress=asked.append) as engine:
        assert any(step.stage is Stage.SELF_TEST for step in asked), "it was not believed"
        (note,) = engine.notes
    status = spoiled.stat()
    assert note.startswith(f"{spoiled} belongs to user {status.st_uid} with mode {status.st_mode & 0o7777:04o}")
    assert f"chown {os.geteuid()} {spoiled}" in note or f"chmod go-w {spoiled}" in note
    assert note.endswith("Until then the bundle is tested at every load.")


@pytest.mark.parametrize("spoil", WAYS)
def test_a_record_of_another_does_not_count(tiny_bundle: Path, spoil: Spoil) -> None:
    Engine.load(tiny_bundle).close()
    for record in (cache_folder() / "selftests").iterdir():
        spoil(record)
    assert len(Engine.load(tiny_bundle).notes) == 1


@pytest.mark.parametrize("spoil", WAYS)
def test_a_planted_hash_is_not_believed(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, spoil: Spoil) -> None:
    """The record of a large file that looks unchanged would let altered weights load."""
    monkeypatch.setattr(integrity, "HASH_EVERY_TIME", 0)
    monkeypatch.setattr(integrity, "keeps_times", lambda device: True)
    data = tiny_bundle / "model.fp32.onnx.data"
    data.write_bytes(data.read_bytes()[::-1])
    stated = Bundle.load(tiny_bundle).manifest.files[data.name].sha256
    Records.here().add("hashes", *OpenFile(data).identity, stated)
    with pytest.raises(SelfTestError):  # it is believed, and only the golden questions find out
        Engine.load(tiny_bundle)
    spoil(cache_folder() / "hashes")
    with pytest.raises(BundleCorruptError, match="was altered"):
        Engine.load(tiny_bundle)


@pytest.mark.parametrize("spoil", WAYS)
def test_trust_in_a_foreign_home_is_none(tiny_bundle: Path, spoil: Spoil) -> None:
    manifest = Bundle.load(tiny_bundle).manifest
    trust(manifest)
    for path in (trust_file(), home_folder()):
        before = path.stat()
        assert is_trusted(manifest)
        spoil(path)
        assert not is_trusted(manifest)
        with pytest.raises(StorageError, match=r"belongs to user .*it is not used"):
            trust(manifest)
        os.chown(path, before.st_uid, before.st_gid)
        path.chmod(before.st_mode)


@pytest.mark.parametrize("spoil", WAYS)
@pytest.mark.parametrize("what", ["engine.plan", "entry.json", "", ".."])
def test_plans_that_others_could_write_are_not_loaded(spoil: Spoil, what: str) -> None:
    keep_plan(FACTS, b"code")
    assert recall_plan(FACTS) == b"code"
    (folder,) = plans_folder().iterdir()
    spoil((folder / what).resolve())
    assert recall_plan(FACTS) is None
    if what in ("", ".."):
        with pytest.raises(StorageError, match="it is not used"):
            keep_plan(FACTS, b"code")


def test_our_folders_are_made_private_whatever_the_umask() -> None:
    before = os.umask(0)
    try:
        write_file(cache_folder() / "hashes" / "x.json", json.dumps([]))
        make_folder(home_folder() / "bundles")
    finally:
        os.umask(before)
    for folder in (*folders(), cache_folder() / "hashes", home_folder() / "bundles"):
        assert folder.stat().st_mode & 0o777 == 0o700
    assert written_by_others(cache_folder() / "hashes" / "x.json") is None


def test_a_home_that_was_opened_for_reading_stays_so() -> None:
    """An administrator may keep bundles for all users."""
    home_folder().mkdir(mode=0o755)
    make_folder(home_folder() / "bundles")
    assert (home_folder() / "bundles").stat().st_mode & 0o777 == 0o755


def test_other_folders_are_made_as_ever(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        make_folder(tmp_path / "some" / "where")
    finally:
        os.umask(before)
    assert (tmp_path / "some").stat().st_mode & 0o777 == 0o755
