"""A real browser without a screen, driven by the WebDriver protocol (W3C) over HTTP."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
_QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
_QUIET += ("--disable-component-update", "--disable-sync", "--disable-quic", "--window-size=900,1100")


@dataclass(frozen=True)
class Browser:
    """One session."""

    address: str

    def open(self, url: str) -> None:
        """Go to a page."""
        self._call("POST", "/url", {"url": url})

    def run(self, script: str) -> Any:
        """Return what a script returns."""
        return self._call("POST", "/execute/sync", {"script": script, "args": []})

    def wait(self, script: str, seconds: float = 20.0) -> Any:
        """Return what a script returns once that is true."""
        deadline = time.monotonic() + seconds
        while not (found := self.run(script)):
            assert time.monotonic() < deadline, f"not within {seconds:g} s: {script}"
            time.sleep(0.05)
        return found

    def picture(self, file: Path) -> None:
        """Write a picture of the page as PNG."""
        file.write_bytes(base64.b64decode(self._call("GET", "/screenshot", None)))

    def devtools(self, command: str, **parameters: Any) -> Any:
        """Do what WebDriver has no word for: media features, screen sizes, keys, the accessibility tree."""
        return self._call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def _call(self, method: str, path: str, body: Any) -> Any:
        return _exchange(method, self.address + path, body)


@contextmanager
def browser(profile: Path, *options: str) -> Iterator[Browser]:
    """Start a browser; it is ended with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    driver = subprocess.Popen(
        [str(DRIVER), f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        address = f"http://127.0.0.1:{port}"
        _await(address)
        chrome = {"binary": BROWSER, "args": [*_QUIET, f"--user-data-dir={profile}", *options]}
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": chrome}}}
        session = _exchange("POST", f"{address}/session", wanted)["sessionId"]
        try:
            yield Browser(f"{address}/session/{session}")
        finally:
            _exchange("DELETE", f"{address}/session/{session}", None)
    finally:
        driver.terminate()
        driver.wait(20)


def _await(address: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            _exchange("GET", f"{address}/status", None)
            return
        except OSError:
            assert time.monotonic() < deadline, "chromedriver does not answer"
            time.sleep(0.05)


def _exchange(method: str, url: str, body: Any) -> Any:
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.loads(reply.read())["value"]
