"""An engine that writes texts longer than the fake one's, and clients that do not behave."""

from __future__ import annotations

import json
import socket
from dataclasses import replace

from rim_runtime import Engine, FakeBackend, FakeDecoder
from rim_runtime.bundle.manifest import Limits as BundleLimits
from rim_runtime.prompt.encoder import PromptEncoder
from rim_runtime.testing import byte_tokenizer, fake_engine

_ROOM = 20_000
"""Tokens of the longest prompt and text."""


def long_writer(text: str) -> Engine:
    """Return an engine that writes a text of up to 20,000 bytes."""
    decoder = FakeDecoder(text)
    with fake_engine(decoder=decoder) as usual:
        limits = BundleLimits(question_tokens=_ROOM, max_length=_ROOM, model_positions=_ROOM)
        manifest = replace(usual.manifest, limits=limits)
    encoder = PromptEncoder(manifest.prompt, byte_tokenizer(), _ROOM)
    fresh = FakeDecoder(text)
    return Engine(manifest, encoder, FakeBackend(), open_decoder=lambda cancel: fresh)


def head_of(path: str, length: int) -> bytes:
    """Return what comes before a request's body."""
    lines = (f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json")
    return "\r\n".join((*lines, f"Content-Length: {length}", "", "")).encode()


def stalled(port: int, path: str, body: dict[str, object], holds: int = 1) -> socket.socket:
    """Ask over a connection that holds few bytes, as few as the system allows, and read nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, holds)
    client.settimeout(20)
    client.connect(("127.0.0.1", port))
    content = json.dumps(body).encode()
    client.sendall(head_of(path, len(content)) + content)
    return client


def read_all(client: socket.socket) -> bytes:
    """Return what is left to read, of a connection that was cut too."""
    found = bytearray()
    try:
        while part := client.recv(65_536):
            found += part
    except ConnectionResetError:
        pass
    return bytes(found)
