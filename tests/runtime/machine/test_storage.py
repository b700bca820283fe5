"""Writing without halves: a folder or a file appears whole, or not at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest
from rim_runtime import StorageError, TargetExistsError
from rim_runtime.machine.folders import state_file
from rim_runtime.machine.storage import new_folder, refuse_existing, require_writable, write_file


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "bundle"
    with new_folder(target) as work:
        (work / "file").write_text("content")
        assert not target.exists()
    assert (target / "file").read_text() == "content"
    assert names(target.parent) == ["bundle"]


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "bundle") as work:
        (work / "file").write_text("content")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o002, 0o664)])
def test_a_file_has_the_umasks_mode_but_in_our_own_folders(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        for file in (tmp_path / "picture.svg", state_file()):
            write_file(file, "first")
            write_file(file, "again")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "picture.svg").stat().st_mode) == mode
    assert stat.S_IMODE(state_file().stat().st_mode) == 0o600
    assert names(tmp_path) == ["picture.svg", "rim-home"], "no half is left"


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "bundle"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_while_writing(tmp_path: Path) -> None:
    message = r"The disk is full: [\d,]+ MB are free for .*bundle"
    with pytest.raises(StorageError, match=message), new_folder(tmp_path / "bundle") as work:
        (work / "file").write_text("half")
        full_disk()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_while_syncing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(StorageError, match="The disk is full"), new_folder(tmp_path / "bundle") as work:
        (work / "file").write_text("content")
    with pytest.raises(StorageError, match="The disk is full"):
        write_file(tmp_path / "state.json", "{}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "folder", "dangling link"])
def test_an_existing_target_stays(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "there"
    {"file": target.touch, "folder": target.mkdir, "dangling link": lambda: target.symlink_to("nowhere")}[kind]()
    message = "there already exists, expected a new path"
    with pytest.raises(TargetExistsError, match=message), new_folder(target):
        pytest.fail("nothing may be written")
    assert names(tmp_path) == ["there"]


def test_a_target_that_appears_meanwhile_stays(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    with pytest.raises(TargetExistsError), new_folder(target):
        target.mkdir()
        (target / "other").touch()
    assert names(tmp_path) == ["bundle"]
    assert names(target) == ["other"]


def test_a_file_in_the_way_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"Cannot write .*bundle"), new_folder(tmp_path / "file" / "bundle"):
        pytest.fail("nothing may be written")


def test_a_small_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state.json"
    write_file(path, "old")
    write_file(path, "néw")
    assert path.read_text(encoding="utf-8") == "néw"
    assert names(path.parent) == ["state.json"]


@pytest.mark.parametrize("place", ["file/below", "file/a/b", "/proc/xx", "x" * 300, f"{'x' * 300}/below"])
def test_places_that_cannot_be_written_are_known_beforehand(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"^Cannot write .*, nothing was written\. Check the path"):
        refuse_existing(tmp_path / place)
        require_writable(tmp_path / place)
    assert names(tmp_path) == ["file"]


def test_places_that_can_be_written_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for place in (Path("new"), Path("deep/new"), tmp_path / "a" / "b", tmp_path / "folder"):
        require_writable(place)
    assert names(tmp_path) == ["folder"]
    assert names(tmp_path / "folder") == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_a_file_that_is_read_meanwhile_is_the_one_that_is_named(tmp_path: Path) -> None:
    """It was called the target, which could be written well."""
    source, target = tmp_path / "source", tmp_path / "out" / "bundle"
    message = rf"^{source} cannot be used \(No such file or directory\), so {target} was not written"
    with pytest.raises(StorageError, match=message), new_folder(target):
        source.read_bytes()
    message = rf"^Cannot write {target} \(No such file or directory\)"
    with pytest.raises(StorageError, match=message), new_folder(target) as work:
        (work / "missing" / "file").write_bytes(b"")
