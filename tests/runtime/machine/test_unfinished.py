"""What a killed process left is cleared by the next, and what a living one writes is left alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rim_runtime import TargetExistsError
from rim_runtime.machine.storage import clear_unfinished, new_folder, write_file

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows locks no folders")
WRITES = """
import os, signal, sys
from pathlib import Path
from rim_runtime.machine.storage import new_folder
with new_folder(Path(sys.argv[1])) as work:
    (work / "half").write_text("half")
    print("writing", flush=True)
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_two_writers_of_one_target(tmp_path: Path) -> None:
    """The second is refused at once while the first lives; what is left when it was killed is cleared."""
    target, outside = tmp_path / "bundle", tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").touch()
    command = [sys.executable, "-c", WRITES, str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout and first.stdin
        assert first.stdout.readline() == b"writing\n"
        with (
            pytest.raises(TargetExistsError, match=r"bundle is being written by another process"),
            new_folder(target),
        ):
            pytest.fail("it is the other's")
        assert clear_unfinished(tmp_path) == ()
        (left,) = (path for path in tmp_path.iterdir() if path.name.startswith("."))
        (left / "link").symlink_to(outside)
        first.stdin.close()
    assert names(left) == ["half", "link"], "it was killed"
    assert clear_unfinished(tmp_path) == (left,)
    assert names(tmp_path) == names(outside.parent) == ["outside"]
    assert names(outside) == ["mine"]


def test_what_was_left_for_the_same_target_is_no_part_of_it(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    left = tmp_path / ".bundle.rim-edge-unfinished"
    (left / "deep").mkdir(parents=True)
    (left / "half").touch()
    with new_folder(target) as work:
        assert names(work) == []
        (work / "file").touch()
    assert names(tmp_path) == ["bundle"]
    assert names(target) == ["file"]


@pytest.mark.parametrize("kind", ["link", "link to a folder", "other name"])
def test_what_is_not_ours_stays(tmp_path: Path, kind: str) -> None:
    other = tmp_path / "other"
    other.mkdir()
    name = ".x.unfinished" if kind == "other name" else ".x.rim-edge-unfinished"
    if kind == "other name":
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).symlink_to("nowhere" if kind == "link" else other)
    assert clear_unfinished(tmp_path) == ()
    assert names(tmp_path) == [name, "other"]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root can give folders away")
def test_a_folder_of_another_user_is_not_written_to(tmp_path: Path) -> None:
    left = tmp_path / ".bundle.rim-edge-unfinished"
    left.mkdir()
    os.chown(left, 65534, 65534)
    with pytest.raises(OSError, match="belongs to user 65534"), new_folder(tmp_path / "bundle"):
        pytest.fail("another's")
    assert clear_unfinished(tmp_path) == ()


def test_half_written_files_are_cleared_by_the_next_writer(tmp_path: Path) -> None:
    old, fresh, other = (tmp_path / name for name in (".a.json.abcdefgh", ".a.json.ijklmnop", ".b.json.abcdefgh"))
    for path in (old, fresh, other):
        path.touch()
    os.utime(old, (time.time() - 3600,) * 2)
    write_file(tmp_path / "a.json", "{}")
    assert names(tmp_path) == [fresh.name, other.name, "a.json"]
