"""Clients that do not read, and such that do not send: they are left in time, and hold up nobody."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from rim_runtime import FakeBackend
from rim_runtime.testing import fake_engine

from rim_edge.serving.limits import Limits
from tests.serving.long_texts import head_of, long_writer, read_all, stalled
from tests.serving.running import Server, running

Kept = Callable[[socket.socket], socket.socket]
PATIENCE = Limits(texts=1, send_seconds=0.6, receive_seconds=0.6, idle_seconds=1.2)
STREAMED = {"question": "Where?", "stream": True, "max_tokens": 5_000}
ECHO = {"prompt": "x" * 7_000, "max_tokens": 1, "echo": True, "logprobs": 20}
"""Its answer has 2.8 million bytes: with all that the system holds on loopback, some are left."""


@pytest.fixture
def kept() -> Iterator[Kept]:
    """Give what keeps a client's socket open until the test has ended, however it ends."""
    with ExitStack() as stack:
        yield stack.enter_context


def others(server: Server) -> float:
    """Let 20 other clients ask at once; return the seconds that the slowest one waited."""

    def ask(number: int) -> float:
        began = time.monotonic()
        assert server.post("/ask", {"question": f"Question {number}?"}).status == 200
        return time.monotonic() - began

    with ThreadPoolExecutor(20) as pool:
        return max(pool.map(ask, range(20)))


def connections(server: Server) -> int:
    """Return how many connections the server has."""
    return len(server.uvicorn.server_state.connections)


def wait_for_none(server: Server, seconds: float) -> None:
    end = time.monotonic() + seconds
    while connections(server) and time.monotonic() < end:
        time.sleep(0.02)
    assert connections(server) == 0


@pytest.mark.parametrize(
    ("path", "body", "buffer", "whole"),
    [("/generate", STREAMED, 4_096, 100_000), ("/v1/completions", ECHO, None, 2_500_000)],
)
def test_a_client_that_reads_nothing_is_left_and_holds_up_nobody(
    kept: Kept, path: str, body: dict[str, Any], buffer: int | None, whole: int
) -> None:
    with running(long_writer("x" * 5_000), PATIENCE, buffer=buffer) as server:
        assert len(server.post(path, body).body) > whole, "this is what the others do not read"
        wait_for_none(server, 5)
        usual = others(server)
        clients = [kept(stalled(server.port, path, body)) for _ in range(3)]
        while server.service.load[1] == 0:
            time.sleep(0.001)
        assert others(server) < 1 + 5 * usual, "while texts are written that nobody reads"
        short = {"question": "Where?", "max_tokens": 3}
        assert server.post("/generate", short).json["text"] == "xxx", "the one place is free again"
        wait_for_none(server, 15)
        assert server.service.load == (0, 0)
        for client in clients:
            assert len(read_all(client)) < whole, "a part of it was still on its way"


def test_a_client_that_reads_slowly_gets_all_of_it(kept: Kept) -> None:
    limits = Limits(send_seconds=0.8)
    with running(long_writer("x" * 5_000), limits, buffer=4_096) as server:
        client = kept(stalled(server.port, "/generate", STREAMED, holds=32_768))
        began, found = time.monotonic(), bytearray()
        while b'"ended": "limit"' not in found and (part := client.recv(4_096)):
            found += part
            time.sleep(0.03)
        assert b'"ended": "limit"' in found
        assert time.monotonic() - began > limits.send_seconds, "all of it took longer than a part of it may"


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /ask HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Ty",
        head_of("/ask", 100) + b'{"question": "Wh',
        b"G",
    ],
)
def test_half_a_request_is_not_waited_for(kept: Kept, sent: bytes) -> None:
    with running(fake_engine(FakeBackend()), PATIENCE) as server:
        client = kept(socket.create_connection(("127.0.0.1", server.port)))
        client.settimeout(10)
        began = time.monotonic()
        for number in range(len(sent)):  # as slowly as one can
            if time.monotonic() - began > 0.4:
                client.sendall(sent[number:])
                break
            client.sendall(sent[number : number + 1])
            time.sleep(0.01)
        told = read_all(client)
        assert 0.5 < time.monotonic() - began < 8
        assert told.startswith(b"HTTP/1.1 408 ")
        error = json.loads(told.partition(b"\r\n\r\n")[2])["error"]
        assert error["message"] == "The request did not end within 0.6 s. Send it at once."
        assert server.post("/ask", {"question": "Why?"}).status == 200


def test_a_body_that_is_refused_before_its_end_is_not_waited_for(kept: Kept) -> None:
    with running(fake_engine(FakeBackend()), PATIENCE) as server:
        client = kept(socket.create_connection(("127.0.0.1", server.port)))
        client.settimeout(10)
        client.sendall(head_of("/ask", 5_000_000) + b"x" * 1_500_000)
        told = read_all(client)
        assert told.startswith(b"HTTP/1.1 413 ")
        wait_for_none(server, 3)


def test_an_idle_connection_ends_after_a_while_and_not_before(kept: Kept) -> None:
    with running(fake_engine(FakeBackend()), PATIENCE) as server:
        silent = kept(socket.create_connection(("127.0.0.1", server.port)))
        silent.settimeout(10)
        began = time.monotonic()
        time.sleep(0.8)
        content = b'{"question": "Why?"}'
        silent.sendall(head_of("/ask", len(content)) + content)
        assert read_all(silent).startswith(b"HTTP/1.1 200 "), "idle for longer than a request may take"
        assert 1.8 < time.monotonic() - began < 9
