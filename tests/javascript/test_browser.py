"""examples/browser in a real browser: Python's answers, from static files, and nothing from elsewhere."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import Engine

from tests.javascript.conftest import PUZZLES
from tests.places import DEMO_FOLDER
from tests.serving.browser import BROWSER, DRIVER, Browser, browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        BROWSER is None or DRIVER is None,
        reason="needs Chromium and its driver (Debian: apt-get install chromium chromium-driver)",
    ),
]
READY = "return !document.getElementById('ask').disabled"
TOLD = "return ['result', 'error'].some((id) => !document.getElementById(id).hidden)"
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}


@dataclass
class Site:
    """A folder that is served."""

    address: str
    asked: list[str] = field(default_factory=list)
    """What was asked for, in order."""


@contextmanager
def served(folder: Path, headers: dict[str, str] | None = None) -> Iterator[Site]:
    """Serve a folder as any static server would."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            site.asked.append(self.path)

        def end_headers(self) -> None:
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            super().end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    site = Site(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def folder(examples: Callable[[str], Path], vectors: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as `npm run build` makes it."""
    out = tmp_path_factory.mktemp("site") / "site"
    command = ["node", "build.js", "--bundle", str(DEMO_FOLDER), "--vectors", str(vectors), "--out", str(out)]
    subprocess.run(command, cwd=examples("browser"), check=True, capture_output=True, timeout=60)
    return out


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[Site]:
    with served(folder) as found:
        yield found


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


def text(page: Browser, name: str) -> str:
    """Return the text of an element that is shown, else nothing."""
    return str(page.run(f"const e = document.getElementById('{name}'); return e.hidden ? '' : e.textContent"))


def press(page: Browser, key: str, code: int) -> None:
    written = {"text": "\r"} if key == "Enter" else {}
    for kind in ("keyDown", "keyUp"):
        page.devtools(
            "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **written
        )


def test_letters_are_those_of_the_python_runtime(page: Browser, site: Site, vectors: Path) -> None:
    page.open(f"{site.address}/check.html")
    found: dict[str, Any] = json.loads(
        page.wait("return document.getElementById('verdict').dataset.found", seconds=90)
    )
    expected = json.loads(vectors.read_text())
    assert found["cases"] == len(expected["cases"]) > PUZZLES + 50
    assert found["refusals"] == len(expected["refusals"]) >= 20
    assert found["faults"] == []
    assert found["letters"] == found["cases"], "not even near a tie"
    assert 0 < found["logit"] <= expected["tolerance"]["logit"]
    assert found["probability"] <= expected["tolerance"]["probability"]
    told = f"logits within {found['logit']:.3f}, probabilities within {found['probability']:.4f}"
    print(f"{found['cases']} questions in {found['milliseconds'] / 1000:.1f} s, {told}")


def test_by_keyboard_from_question_to_bars(page: Browser, site: Site, tmp_path: Path) -> None:
    page.open(site.address)
    page.wait(READY)
    assert "toy" in text(page, "toy")
    question = "Four friends compare their ages. Cora is older than Ben. Dan is older than Cora. "
    question += "Anna is older than Dan. Who is the third oldest?"
    options = ["Anna", "Ben", "Cora", "Dan"]
    page.devtools("Input.insertText", text=question)
    press(page, "Tab", 9)
    page.devtools("Input.insertText", text="\n".join(options))
    press(page, "Tab", 9)
    press(page, "Enter", 13)
    page.wait(TOLD)
    with Engine.load(DEMO_FOLDER, engine="ort-cpu") as engine:
        answer = engine.ask(question, options)
    assert text(page, "headline") == f"{answer.letter}: {answer.choice}" == "C: Cora"
    shares = page.run("return [...document.querySelectorAll('td.share')].map((e) => parseFloat(e.textContent))")
    assert shares == pytest.approx([100 * share for share in answer.probabilities.values()], abs=2)
    for name, features, size in LOOKS:
        page.devtools("Emulation.setEmulatedMedia", features=features)
        if size:
            page.devtools("Emulation.setDeviceMetricsOverride", **size)
        page.picture(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
        assert page.run("return document.documentElement.scrollWidth <= innerWidth"), "nothing is cut off"
    page.devtools("Emulation.clearDeviceMetricsOverride")
    page.devtools("Emulation.setEmulatedMedia", features=[])


DARK = [{"name": "prefers-color-scheme", "value": "dark"}]
LOOKS: list[tuple[str, list[dict[str, str]], dict[str, Any] | None]] = [
    ("light", [], None),
    ("dark", DARK, None),
    ("phone", DARK, PHONE),
]


def test_fewer_blocks_and_what_is_refused(page: Browser, site: Site) -> None:
    page.open(f"{site.address}/?question=Which%3F%0A1.+this%0A2.+that")
    page.wait(TOLD)
    assert "marked 1, 2" in text(page, "error")
    page.run(
        "document.getElementById('question').value = 'Which?'; document.getElementById('blocks').value = '0';"
        "document.getElementById('form').requestSubmit()"
    )
    page.wait("return !document.getElementById('result').hidden")
    assert text(page, "ran").startswith("0 memory blocks")
    assert text(page, "error") == ""
    with Engine.load(DEMO_FOLDER, engine="ort-cpu") as engine:
        assert text(page, "headline") == engine.ask("Which?", blocks=0).letter


def test_a_screen_reader_finds_names(page: Browser, site: Site) -> None:
    page.open(site.address)
    page.wait(READY)
    nodes = page.devtools("Accessibility.getFullAXTree")["nodes"]
    named = {(one["role"]["value"], one.get("name", {}).get("value", "")) for one in nodes if not one["ignored"]}
    wanted = [("textbox", "Question"), ("textbox", "Options"), ("combobox", "Memory blocks"), ("button", "Ask")]
    assert set(wanted) <= named


def test_nothing_comes_from_elsewhere_and_nothing_goes_there(page: Browser, folder: Path, tmp_path: Path) -> None:
    """Its files come once, then it answers without its server; another origin is refused, in the worker too."""
    with served(tmp_path) as other:
        with served(folder) as site:
            page.open(site.address)
            page.wait(READY)
            assert len(site.asked) == len(set(site.asked)) < 30
            assert {"/bundle/model.int8.onnx.data", "/vendored/ort-wasm-simd-threaded.wasm"} <= set(site.asked)
        page.run("document.getElementById('question').value = 'Why?'; document.forms[0].requestSubmit()")
        page.wait("return !document.getElementById('result').hidden")
        page.run(FETCH_TWICE.replace("OTHER", other.address))
        assert page.wait("return window.said.length === 2 && window.said") == ["refused", "refused"]
        assert other.asked == []


FETCH_TWICE = """
window.said = [];
const tell = (one) => window.said.push(one);
fetch("OTHER/").then(() => tell("reached"), () => tell("refused"));
const script = 'fetch("OTHER/").then(() => postMessage("reached"), () => postMessage("refused"))';
const blob = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
new Worker(blob, { type: "module" }).onmessage = (event) => tell(event.data);
"""


def test_threads_where_the_server_allows_them(page: Browser, folder: Path) -> None:
    headers = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
    with served(folder, headers) as site:
        page.open(f"{site.address}/?question=Why%3F")
        page.wait("return !document.getElementById('result').hidden")
        assert "several threads" in text(page, "model")
        page.open("about:blank")


def test_a_bundle_that_was_altered_is_refused(page: Browser, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "site")
    data = tmp_path / "site" / "bundle" / "model.int8.onnx.data"
    content = bytearray(data.read_bytes())
    content[1000] ^= 1
    data.write_bytes(content)
    with served(tmp_path / "site") as site:
        page.open(site.address)
        page.wait("return !document.getElementById('error').hidden")
        assert "model.int8.onnx.data was altered" in text(page, "error")
        assert page.run("return document.getElementById('ask').disabled")
        page.open("about:blank")
