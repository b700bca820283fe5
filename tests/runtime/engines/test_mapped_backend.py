"""Weights that engines map: whatever is done to an open engine's file, it answers as before, or says why not."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import BundleCorruptError, Engine, EngineFailedError
from rim_runtime.bundle import integrity
from rim_runtime.engines import mapped_backend
from rim_runtime.machine import lease
from rim_runtime.machine.open_file import OpenFile
from rim_runtime.machine.sealed_copy import replace_mappings

from tests.apart import run_apart
from tests.places import REPOSITORY, need

DATA = "model.fp32.onnx.data"
QUESTION = "Which one?\nA: this\nB: that\nC: neither"
ENGINES = ("ort-cpu", "openvino")

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has leases and sealed memory")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows renames no open files")


@pytest.fixture(autouse=True)
def every_size_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integrity, "HASH_EVERY_TIME", 0)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    need(request.param)
    return str(request.param)


def refuse_leases(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(lease: object) -> None:
        raise OSError(number, "refused by the test")

    monkeypatch.setattr(lease.Lease, "_take", refuse)


def load(bundle: Path, engine: str) -> Engine:
    return Engine.load(bundle, engine=engine, threads=1)


def probabilities(engine: Engine) -> dict[str, float]:
    return dict(engine.ask(QUESTION).probabilities)


def overwrite(file: Path) -> None:
    content = file.read_bytes()
    with file.open("r+b") as opened:
        opened.write(content[::-1])


def truncate(file: Path) -> None:
    file.write_bytes(b"")


def overwrite_and_set_the_time_back(file: Path) -> None:
    before = file.stat()
    overwrite(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def remove(file: Path) -> None:
    file.unlink()


def replace(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(file.read_bytes()[::-1])
    other.rename(file)


WRITING = (overwrite, truncate, overwrite_and_set_the_time_back)
RENAMING = (remove, replace)
Change = Callable[[Path], None]

SHELL = {
    "overwritten": "dd if=/dev/urandom of=DATA bs=40 count=1 conv=notrunc",
    "truncated": ": > DATA",
    "copied over": "cp OTHER DATA",
    "removed": "rm DATA",
    "replaced": "cp DATA DATA.new && mv OTHER DATA",
}
PROGRAM = textwrap.dedent("""
    import subprocess, sys, threading
    from rim_runtime import Engine
    from rim_runtime.bundle import integrity
    integrity.HASH_EVERY_TIME = 0
    bundle, name, question, commands = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
    for number, command in enumerate(commands):
        with Engine.load(f"{bundle}-{number}", engine=name, threads=1) as engine:
            right, answers = engine.ask(question).probabilities, 0
            change = subprocess.Popen(["sh", "-c", command])
            while change.poll() is None or answers < 20:
                assert engine.ask(question).probabilities == right, command
                answers += 1
            assert change.returncode == 0, command
        print("right", answers)
""")


@linux
def test_a_program_that_asks_while_its_files_are_written_gets_right_answers(
    tiny_bundle: Path, tmp_path: Path, engine: str
) -> None:
    """Without the lease it is killed by SIGBUS, or gets other answers."""
    commands = []
    for number, command in enumerate(SHELL.values()):
        copy = tmp_path / f"copy-{number}"
        shutil.copytree(tiny_bundle, copy)
        other = tmp_path / f"other-{number}"
        other.write_bytes((copy / DATA).read_bytes()[::-1])
        commands.append(command.replace("DATA", str(copy / DATA)).replace("OTHER", str(other)))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "copy"), engine, QUESTION, *commands],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("right") == len(SHELL)


@linux
@pytest.mark.parametrize("change", [*WRITING, *RENAMING])
def test_without_leases_an_engine_has_its_copy_from_the_start(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, engine: str, change: Change
) -> None:
    refuse_leases(monkeypatch, errno.EINVAL)
    with load(tiny_bundle, engine) as opened:
        right = probabilities(opened)
        assert str(tiny_bundle) not in Path("/proc/self/maps").read_text()
        change(tiny_bundle / DATA)
        assert probabilities(opened) == right


@pytest.mark.parametrize("change", WRITING)
def test_without_a_copy_what_was_written_never_answers(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, engine: str, change: Change
) -> None:
    """So it is with another user's files, and where the system is not Linux."""
    refuse_leases(monkeypatch, errno.EACCES)
    with load(tiny_bundle, engine) as opened:
        probabilities(opened)
        change(tiny_bundle / DATA)
        for _ in range(2):
            with pytest.raises(EngineFailedError, match=r"was written while .* had it open.*by renaming folders"):
                opened.ask(QUESTION)


@pytest.mark.parametrize("change", RENAMING)
def test_without_a_copy_names_may_change(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, engine: str, change: Change
) -> None:
    refuse_leases(monkeypatch, errno.EACCES)
    with load(tiny_bundle, engine) as opened:
        right = probabilities(opened)
        change(tiny_bundle / DATA)
        assert probabilities(opened) == right


def test_what_is_written_during_an_answer_is_seen_after_it(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    refuse_leases(monkeypatch, errno.EACCES)
    with load(tiny_bundle, engine) as opened:
        inner = opened._backend._engine  # type: ignore[attr-defined]
        run = inner.run

        def write_and_run(*given: Any) -> Any:
            overwrite(tiny_bundle / DATA)
            return run(*given)

        monkeypatch.setattr(inner, "run", write_and_run)
        with pytest.raises(EngineFailedError, match="was written while"):
            opened.ask(QUESTION)


@linux
def test_a_copy_that_was_made_between_two_looks_counts(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    """Who waited writes after the look at the copy and before the look at the lease."""
    is_held = lease.Lease.is_held

    def written_first(held: lease.Lease) -> bool:
        writer = threading.Thread(target=overwrite, args=(tiny_bundle / DATA,))
        writer.start()
        writer.join(timeout=60)
        return is_held(held)

    with load(tiny_bundle, engine) as opened:
        right = probabilities(opened)
        monkeypatch.setattr(lease.Lease, "is_held", written_first)
        assert probabilities(opened) == right


@linux
def test_who_writes_during_a_load_waits_for_its_end(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    original, writers = mapped_backend.MappedBackend._check_files, []

    def write_before(backend: Any) -> None:
        writers.append(subprocess.Popen(["sh", "-c", ': > "$0"', str(tiny_bundle / DATA)]))
        with pytest.raises(subprocess.TimeoutExpired):
            writers[0].wait(0.5)
        original(backend)

    with load(tiny_bundle, engine) as opened:
        right = probabilities(opened)
    monkeypatch.setattr(mapped_backend.MappedBackend, "_check_files", write_before)
    with load(tiny_bundle, engine) as opened:
        assert writers[0].wait(30) == 0
        assert probabilities(opened) == right
    with pytest.raises(BundleCorruptError, match="has 0 bytes"):
        load(tiny_bundle, engine)


@linux
def test_a_closed_or_forgotten_engine_holds_no_lease(tiny_bundle: Path) -> None:
    load(tiny_bundle, "ort-cpu").close()
    load(tiny_bundle, "ort-cpu")
    with pytest.raises(BundleCorruptError, match="was altered"):
        overwrite(tiny_bundle / DATA)
        load(tiny_bundle, "ort-cpu")
    open_for_writing = os.open(tiny_bundle / DATA, os.O_RDWR | os.O_NONBLOCK)  # EAGAIN if there were one
    os.close(open_for_writing)
    for thread in [thread for thread in threading.enumerate() if thread.name == "rim-edge lease"]:
        thread.join(10)  # it ends when it hears of it, which may take a moment
        assert not thread.is_alive()


@linux
def test_two_engines_of_one_file_go_on(tiny_bundle: Path) -> None:
    with load(tiny_bundle, "ort-cpu") as first, load(tiny_bundle, "ort-cpu") as second:
        right = probabilities(first)
        subprocess.run(["sh", "-c", ': > "$0"', str(tiny_bundle / DATA)], check=True, timeout=30)
        assert probabilities(first) == probabilities(second) == right


FORKED = """
import os, signal, subprocess, sys
from pathlib import Path
from rim_runtime import Engine, EngineFailedError
from rim_runtime.bundle import integrity

integrity.HASH_EVERY_TIME = 0
bundle, data, question = sys.argv[1:]
with Engine.load(Path(bundle), engine="ort-cpu", threads=1) as opened:
    right = opened.ask(question).probabilities
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        code = 1
        try:
            same = opened.ask(question).probabilities == right
            subprocess.run(["sh", "-c", ': > "$0"', str(Path(bundle, data))], check=True, timeout=30)
            opened.ask(question)
        except EngineFailedError:
            code = 0 if same else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert opened.ask(question).probabilities == right
"""


@linux
def test_a_forked_program_answers_right_or_says_why_not(tiny_bundle: Path) -> None:
    """Its memory is its own, so the copy that its parent takes is not there."""
    run_apart(FORKED, tiny_bundle, DATA, QUESTION)


@linux
def test_a_copy_is_only_what_is_mapped_and_cannot_be_written(tmp_path: Path) -> None:
    import mmap

    path, page = tmp_path / "file", mmap.PAGESIZE
    content = bytes(range(256)) * (4 * page // 256) + b"tail"
    path.write_bytes(content)
    file = OpenFile(path)
    assert replace_mappings(file) == 0
    with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ, offset=2 * page) as mapped:
        assert replace_mappings(file) == 2 * page + len(b"tail")
        path.write_bytes(b"")
        assert mapped[:] == content[2 * page :]
    with pytest.raises(OSError, match="shorter than it was"):
        replace_mappings(file)
