"""`rim-edge serve` as a process: it says where it listens, answers, and ends when it is told to."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.schemas import assert_valid

BODY = json.dumps({"question": "Which?", "options": ["this", "that"]})
JSON = {"Content-Type": "application/json"}


@contextmanager
def serving(bundle: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start it; give the process, and where it listens."""
    command = [sys.executable, "-m", "rim_edge", "serve", "--bundle", str(bundle), "--json", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert_valid("serve", line)
        yield process, json.loads(line)["listening"]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_answers_until_it_is_told_to_end(tiny_bundle: Path, ending: signal.Signals) -> None:
    with serving(tiny_bundle, "--port", "0") as (process, place):
        port = int(place.rpartition(":")[2])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("POST", "/ask", BODY, JSON)
        reply = connection.getresponse()
        assert reply.status == 200
        assert json.loads(reply.read())["letter"] in "AB"
        connection.close()
        process.send_signal(ending)
        out, err = process.communicate(timeout=20)
        assert process.returncode == 0, err
        assert "Traceback" not in err
        assert out == ""


def test_a_socket_is_for_its_user_alone_and_leaves_nothing(tiny_bundle: Path, tmp_path: Path) -> None:
    file = tmp_path / "s"
    with serving(tiny_bundle, "--socket", str(file)) as (process, place):
        assert place == str(file)
        assert file.stat().st_mode & 0o077 == 0
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(file))
            lines = ("POST /ask HTTP/1.1", "Host: localhost", "Content-Type: application/json")
            head = "\r\n".join((*lines, f"Content-Length: {len(BODY)}", "", ""))
            client.sendall(head.encode() + BODY.encode())
            assert b"200 OK" in client.recv(4_096)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        assert not file.exists()


def test_what_cannot_be_listened_at_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, err = refused(tiny_bundle, "--port", str(taken.getsockname()[1]))
        assert code == 2
        assert "cannot be had" in err
    code, err = refused(tiny_bundle, "--socket", str(tmp_path / "none" / "s"))
    assert code == 1
    assert "cannot be made" in err


def test_places_that_exclude_each_other_are_refused() -> None:
    for options in (("--jsonl", "--port", "0"), ("--socket", "s", "--port", "0")):
        code, err = refused(Path("unread"), *options)
        assert code == 2
        assert "exclude each other" in err


def refused(bundle: Path, *options: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "rim_edge", "serve", "--bundle", str(bundle), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr
