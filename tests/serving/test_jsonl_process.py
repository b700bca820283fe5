"""`rim-edge serve --jsonl` as a process: on stdin and stdout, and at a socket's file."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import pytest

from tests.cli.schemas import assert_valid
from tests.serving.lines import Client
from tests.serving.test_serve import serving

ROW = {"question": "Which?", "options": ["this", "that"]}
WITHOUT_THE_EXTRA = """
import sys
sys.modules["starlette"] = sys.modules["uvicorn"] = None
from rim_edge.cli import main
main(sys.argv[1:])
"""


def lines(count: int) -> bytes:
    return b"".join(json.dumps({"id": number, **ROW}).encode() + b"\n" for number in range(count))


def write(stdin: IO[bytes], content: bytes) -> None:
    """Write until it is read, or until nobody is left to read it."""
    with suppress(BrokenPipeError):
        stdin.write(content)
        stdin.flush()


@contextmanager
def started(bundle: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start it on pipes."""
    command = [sys.executable, "-m", "rim_edge", "serve", "--jsonl", "--bundle", str(bundle)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            yield process
        finally:
            process.kill()


def ids_of(out: bytes) -> list[int]:
    """Return the ids of lines, each of which is as its schema says."""
    told = out.decode().splitlines()
    for line in told:
        assert_valid("serve-jsonl", line)
    return sorted(json.loads(line)["id"] for line in told)


def test_it_answers_while_its_input_is_open_and_ends_with_it(tiny_bundle: Path) -> None:
    """Without the extra: lines need no HTTP."""
    command = [sys.executable, "-c", WITHOUT_THE_EXTRA, "serve", "--jsonl", "--bundle", str(tiny_bundle)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin and process.stdout
        for number in range(3):
            process.stdin.write(json.dumps({"id": number, **ROW}).encode() + b"\n")
            process.stdin.flush()
            assert ids_of(process.stdout.readline()) == [number]
        out, err = process.communicate(lines(100), timeout=60)
        assert process.returncode == 0, err
        assert ids_of(out) == list(range(100))


def test_files_are_as_good_as_pipes(tiny_bundle: Path, tmp_path: Path) -> None:
    rows, answers = tmp_path / "rows.jsonl", tmp_path / "answers.jsonl"
    rows.write_bytes(lines(70))
    command = [sys.executable, "-m", "rim_edge", "serve", "--jsonl", "--bundle", str(tiny_bundle)]
    with rows.open("rb") as source, answers.open("wb") as target:
        done = subprocess.run(
            command, stdin=source, stdout=target, stderr=subprocess.PIPE, timeout=60, check=False
        )
    assert done.returncode == 0, done.stderr
    assert ids_of(answers.read_bytes()) == list(range(70))


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_though_its_input_is_open(tiny_bundle: Path, ending: signal.Signals) -> None:
    with started(tiny_bundle) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(lines(1))
        process.stdin.flush()
        assert ids_of(process.stdout.readline()) == [0]
        process.send_signal(ending)
        assert process.wait(20) == 0
        assert b"Traceback" not in process.stderr.read()


def test_a_parent_that_does_not_read_is_waited_for(tiny_bundle: Path) -> None:
    """It may take its time, and gets all answers then; a second signal ends it all the same."""
    with started(tiny_bundle) as process:
        assert process.stdin and process.stdout
        writing = threading.Thread(target=write, args=(process.stdin, lines(20_000)))
        writing.start()
        found = [process.stdout.readline()]
        writing.join(1)
        assert writing.is_alive(), "it reads no further lines while its answers are not read"
        found += [process.stdout.readline() for _ in range(1_000)]
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert len(set(ids_of(b"".join(found)))) == 1_001
        writing.join(20)
        assert not writing.is_alive()


def test_a_parent_that_closes_its_end_ends_it(tiny_bundle: Path) -> None:
    with started(tiny_bundle) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdout.close()
        process.stdin.write(lines(1))
        process.stdin.flush()
        assert process.wait(20) == 1
        assert b"Traceback" not in process.stderr.read()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told(tiny_bundle: Path) -> None:
    command = [sys.executable, "-m", "rim_edge", "serve", "--jsonl", "--bundle", str(tiny_bundle)]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command, input=lines(3), stdout=full, stderr=subprocess.PIPE, timeout=60, check=False
        )
    assert done.returncode == 1
    assert b"No space left on device" in done.stderr


def test_a_second_server_is_refused_and_a_killed_one_is_replaced(tiny_bundle: Path, tmp_path: Path) -> None:
    file = tmp_path / "s"
    with serving(tiny_bundle, "--jsonl", "--socket", str(file)) as (process, place):
        assert place == str(file)
        assert file.stat().st_mode & 0o077 == 0
        with Client(file) as client:
            assert client.ask({"id": 1, **ROW})["id"] == 1
            command = [sys.executable, "-m", "rim_edge", "serve", "--socket", str(file)]
            second = subprocess.run(
                [*command, "--bundle", str(tiny_bundle)], capture_output=True, text=True, timeout=60, check=False
            )
            assert second.returncode == 2
            assert f"A server listens at {file} already. Connect to it, or choose another" in second.stderr
            assert client.ask({"id": 2, **ROW})["id"] == 2, "the first one goes on"
        process.kill()
        process.wait(20)
    assert file.exists(), "what a killed server leaves"
    with serving(tiny_bundle, "--jsonl", "--socket", str(file)) as (process, _):
        with Client(file) as client:
            assert client.ask({"id": 3, **ROW})["id"] == 3
            process.send_signal(signal.SIGTERM)
            assert client.rest() == b"", "a client without requests does not keep it from its end"
        assert process.wait(20) == 0
    assert not file.exists()


def test_a_fault_that_nobody_foresaw_is_on_stderr_once() -> None:
    program = """
from rim_runtime import FakeBackend
from rim_runtime.testing import fake_engine
from rim_edge.serving.jsonl.run import answer_stdio
from rim_edge.serving.limits import Limits

class Broken(FakeBackend):
    def run(self, *given):
        raise ZeroDivisionError("by nothing")

answer_stdio(fake_engine(Broken()), Limits(), 0, 1)
"""
    row = json.dumps({"question": "Which?"})
    done = subprocess.run([sys.executable, "-c", program], input=row, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert json.loads(done.stdout)["error"]["kind"] == "server-error"
    assert done.stderr.count("Traceback") == done.stderr.count("ZeroDivisionError: by nothing") == 1
