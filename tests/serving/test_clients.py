"""examples/clients, each run as its reader would: against the demo, and against a server that writes text."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import Engine, FakeDecoder
from rim_runtime.testing import fake_engine

from tests.places import DEMO_FOLDER, REPOSITORY
from tests.serving.running import Server, running
from tests.serving.test_serve import serving

CLIENTS = REPOSITORY / "examples" / "clients"
TEXT = "in the kitchen, Grüße, 日本"
REFUSED = "refused (row): The number of choices is 1, expected 2 to 10. Give each choice once,"
NO_TEXT = "The bundle demo answers with letters alone, expected one that writes text."
OPTIONS = ["Vitamin A", "Vitamin B12", "Vitamin C"]
QUESTION = "Which vitamin deficiency causes scurvy?"


class GatedDecoder(FakeDecoder):
    """Writes half of its text, and the rest when it is told to."""

    def __init__(self) -> None:
        super().__init__(TEXT)
        self.may_go_on, self._steps = threading.Event(), 0

    def step(self, *arguments: Any, **named: Any) -> Any:
        """Step, or wait."""
        self._steps += 1
        assert self._steps < 10 or self.may_go_on.wait(60), "the client has not shown what came first"
        return super().step(*arguments, **named)


@pytest.fixture(scope="module")
def demo() -> Iterator[str]:
    """Give the address of a real process."""
    with serving(DEMO_FOLDER, "--port", "0", "--engine", "ort-cpu") as (_, place):
        yield place


@pytest.fixture(scope="module")
def letter() -> str:
    """Give the line that every client prints of the demo's answer."""
    with Engine.load(DEMO_FOLDER, engine="ort-cpu") as engine:
        answer = engine.ask(QUESTION, OPTIONS)
    return f"letter: {answer.letter}, {answer.choice}, {100 * answer.confidence:.1f} %"


@pytest.fixture(scope="module")
def rust(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Build the Rust client; it needs no crate, so nothing is fetched."""
    needed("cargo")
    target = tmp_path_factory.mktemp("target")
    command = ["cargo", "build", "--offline", "--quiet", "--target-dir", str(target)]
    copy = shutil.copytree(CLIENTS / "rust", tmp_path_factory.mktemp("rust") / "client")
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, ""), "it compiles without a warning"
    return str(target / "debug" / "rim-client")


def needed(tool: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"needs {tool}, which is not here")


@pytest.fixture(params=["node", "python", "openai", "rust", "dotnet"])
def client(request: pytest.FixtureRequest) -> list[str]:
    """Give the command of each client."""
    match request.param:
        case "node":
            needed("node")
            return ["node", str(CLIENTS / "client.mjs")]
        case "python":
            return [sys.executable, "-I", str(CLIENTS / "client.py")]
        case "openai":
            if importlib.util.find_spec("openai") is None:
                pytest.skip("needs the package openai, which is not here")
            return [sys.executable, str(CLIENTS / "openai_client.py")]
        case "rust":
            return [request.getfixturevalue("rust")]
        case _:
            needed("dotnet")
            return ["dotnet", "run", "--project", str(CLIENTS / "csharp")]


def address(client: Sequence[str], place: str) -> str:
    return place.removeprefix("http://") if client[0].endswith("rim-client") else place


def environment() -> dict[str, str]:
    """Return an environment with a proxy that nobody may be asked through."""
    return {**os.environ, "http_proxy": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}


def test_a_letter_and_refusals_of_the_demo(client: list[str], demo: str, letter: str) -> None:
    command = [*client, address(client, demo)]
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", timeout=120, check=False, env=environment()
    )
    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.splitlines()
    if "openai" in client[-1]:
        assert first == letter.replace(letter.split(", ")[1] + ", ", ""), "without the choice, which has no field"
        assert third.startswith("refused (frequency_penalty): frequency_penalty is 1, and this server cannot")
    else:
        assert first == letter
        assert third.startswith(REFUSED)
    assert second.startswith(f"text: none. {NO_TEXT}")


def test_a_text_is_shown_as_it_comes(client: list[str]) -> None:
    decoder = GatedDecoder()
    with running(fake_engine(decoder=decoder)) as server:
        command = [*client, address(client, f"http://127.0.0.1:{server.port}")]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdout=pipe, stderr=pipe, env=environment()) as process:
            assert process.stdout and process.stderr
            assert process.stdout.readline().startswith(b"letter: ")
            shown = process.stdout.read(len("text: in the"))
            assert shown == b"text: in the", process.stderr.read()
            assert not decoder.may_go_on.is_set(), "the rest is not even written"
            decoder.may_go_on.set()
            rest = process.stdout.read().decode()
            assert process.wait(60) == 0
    text, _, refusal = rest.partition(os.linesep)
    assert "in the" + text == TEXT
    assert refusal.startswith("refused (")


def test_curl(demo: str, letter: str) -> None:
    needed("curl")
    needed("sh")
    command = ["sh", str(CLIENTS / "client.sh"), demo]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment())
    assert done.returncode == 0, done.stderr
    answer, no_text, refused = done.stdout.splitlines()
    found = json.loads(answer)
    assert f"letter: {found['letter']}, {found['choice']}," in letter
    assert NO_TEXT in no_text
    assert no_text.endswith("(no text: curl exited with 22)")
    assert '"kind":"row"' in refused
    assert refused.endswith("(refused: curl exited with 22)")


def test_curl_shows_a_text_as_it_comes() -> None:
    needed("curl")
    with running(fake_engine(decoder=FakeDecoder("yes"))) as server:
        command = ["sh", str(CLIENTS / "client.sh"), f"http://127.0.0.1:{server.port}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    told = [
        json.loads(line.removeprefix("data: ")) for line in done.stdout.splitlines() if line.startswith("data: ")
    ]
    assert [one["piece"] for one in told[:-1]] == list("yes")
    assert told[-1]["text"] == "yes"


def test_lines_in_node(letter: str) -> None:
    needed("node")
    command = ["node", str(CLIENTS / "lines.mjs"), str(DEMO_FOLDER), sys.executable, "-m", "rim_edge"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.splitlines()
    assert first == letter
    assert second.startswith(f"text: none. {NO_TEXT}")
    assert third.startswith(REFUSED)


def test_lines_in_node_say_why_there_is_no_server(tmp_path: Path) -> None:
    needed("node")
    command = ["node", str(CLIENTS / "lines.mjs"), str(tmp_path / "none"), sys.executable, "-m", "rim_edge"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode != 0
    assert f"{tmp_path / 'none'}" in done.stderr


def test_a_request_as_dotnet_sends_it() -> None:
    """In chunks, with a character set: there may be no .NET here."""
    with running(fake_engine()) as server:
        content = b'{"question":"Which?","options":["this","that"]}'
        chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)
        reply = exchange(
            server,
            b"POST /ask HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"
            b"Content-Type: application/json; charset=utf-8\r\n\r\n%b" % (server.port, chunks),
        )
        assert reply.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b'"letter":' in reply


def exchange(server: Server, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), 20) as client:
        client.sendall(request)
        with client.makefile("rb") as reply:
            return reply.read()
