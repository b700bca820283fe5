"""The page of a run in a real browser: it asks for nothing but itself, fits a phone, and opens by keyboard."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rim_edge.puzzles.fresh import fresh_puzzles
from tests.places import DEMO_FOLDER
from tests.serving.browser import BROWSER, DRIVER, Browser, browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        BROWSER is None or DRIVER is None,
        reason="needs Chromium and its driver (Debian: apt-get install chromium chromium-driver)",
    ),
]
EVIL = "<script>document.title = 'taken'</script><img src='/image.png'>"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    names = ("a subject", "another")
    rows = [one.row() | {"subject": names[number % 2]} for number, one in enumerate(fresh_puzzles(40, 77))]
    rows[0]["answer"] = "B" if rows[0]["answer"] == "A" else "A"  # so that an answer is wrong, and surely
    rows.append({"question": f"Which one is it? {EVIL}", "options": ["x" * 90, EVIL, "c"], "answer": "C"})
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = ("eval", "rows.jsonl", "--bundle", str(DEMO_FOLDER), "--engine", "ort-cpu")
    for options in (("--blocks", "0", "--save", "less.jsonl"), ("--against", "less.jsonl", "--html", "page.html")):
        command = [sys.executable, "-m", "rim_edge", *asked, *options]
        subprocess.run(command, check=True, capture_output=True, cwd=folder, timeout=120)
    return folder / "page.html"


@pytest.fixture
def served(written: Path) -> Iterator[tuple[str, list[str]]]:
    """The page on this machine, and the paths that were asked for."""
    asked: list[str] = []
    content = written.read_bytes()

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/page.html", asked
        server.shutdown()
        thread.join()


def show_on(page: Browser, width: int, height: int, scheme: str = "light", medium: str = "screen") -> None:
    """Show pages as on a screen of so many pixels, or on paper, in a light or dark scheme."""
    page.devtools(
        "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
    )
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.devtools("Emulation.setEmulatedMedia", media=medium, features=features)


def whole_picture(page: Browser, file: Path) -> None:
    """Write a picture of the whole page, with what is below the window."""
    width, height = page.run("const e = document.documentElement; return [e.clientWidth, e.scrollHeight]")
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    taken = page.devtools("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
    file.write_bytes(base64.b64decode(taken["data"]))


def test_it_asks_for_nothing_but_itself(page: Browser, served: tuple[str, list[str]], tmp_path: Path) -> None:
    address, asked = served
    show_on(page, 1_000, 900)
    page.open(address)
    assert page.run("return performance.getEntriesByType('resource').map((e) => e.name)") == []
    assert page.run("return document.title").startswith("demo int8 on rows.jsonl")
    assert set(asked) <= {"/page.html", "/favicon.ico"}, "browsers ask for an icon by themselves"
    assert page.run("return document.querySelectorAll('main section').length") == 7
    assert page.run("return [...document.querySelectorAll('nav a')].every((e) => document.querySelector(e.hash))")
    whole_picture(page, tmp_path / "desktop.png")
    assert (tmp_path / "desktop.png").stat().st_size > 50_000


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (360, "dark"), (1_000, "dark")])
def test_it_fits_its_screen(page: Browser, written: Path, tmp_path: Path, width: int, scheme: str) -> None:
    show_on(page, width, 800, scheme)
    page.open(written.as_uri())
    page.run("document.querySelectorAll('details').forEach((e) => { e.open = true })")
    assert page.run("return document.documentElement.scrollWidth <= innerWidth")
    back = page.run("return getComputedStyle(document.body).backgroundColor")
    assert (back == "rgb(13, 17, 23)") == (scheme == "dark")
    whole_picture(page, tmp_path / f"{width}-{scheme}.png")


def test_a_question_opens_by_keyboard(page: Browser, written: Path) -> None:
    show_on(page, 1_000, 900)
    page.open(written.as_uri())
    page.run("document.querySelector('summary').focus()")
    assert page.run("return document.activeElement.tagName") == "SUMMARY"
    for kind in ("rawKeyDown", "char", "keyUp"):
        page.devtools("Input.dispatchKeyEvent", type=kind, key="Enter", text="\r", windowsVirtualKeyCode=13)
    page.wait("return document.querySelector('details').open")
    assert page.run("return document.querySelector('details .whole table').offsetHeight > 0")
    unnamed = "return [...document.querySelectorAll('[tabindex]')].filter((e) => !e.ariaLabel).length"
    assert page.run(unnamed) == 0


def test_paper_shows_what_is_closed(page: Browser, written: Path) -> None:
    show_on(page, 800, 1_100, "dark", "print")
    page.open(written.as_uri())
    assert page.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.run(
        "return document.querySelector('details:not([open]) .whole').getBoundingClientRect().height > 0"
    )
    assert page.run("return getComputedStyle(document.querySelector('nav')).display") == "none"
    cut = "return [...document.querySelectorAll('.ask')].filter((e) => e.scrollHeight > e.clientHeight + 1).length"
    assert page.run(cut) == 0
    wide = "return [...document.querySelectorAll('.wide')].filter((e) => e.scrollWidth > e.clientWidth + 1).length"
    assert page.run(wide) == 0
