"""The page in a real browser: it asks, draws the answer, tells errors, and loads nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from rim_runtime import Engine, FakeDecoder
from rim_runtime.testing import fake_engine

from tests.places import DEMO_FOLDER
from tests.serving.browser import BROWSER, DRIVER, Browser, browser
from tests.serving.running import running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        BROWSER is None or DRIVER is None,
        reason="needs Chromium and its driver (Debian: apt-get install chromium chromium-driver)",
    ),
]
IDLE = "return !document.getElementById('ask').disabled && !document.getElementById('result').hidden"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


def text(page: Browser, name: str) -> str:
    """Return the text of an element that is shown, else nothing."""
    found = page.run(f"const e = document.getElementById('{name}'); return e.hidden ? '' : e.textContent")
    return str(found)


def test_a_letter_is_drawn_with_its_bars_and_its_trace(page: Browser, tmp_path: Path) -> None:
    question, options = "Which vitamin prevents scurvy?", ["Vitamin A", "Vitamin C"]
    with Engine.load(DEMO_FOLDER, engine="ort-cpu") as engine:
        answer, trace = engine.ask(question, options), engine.trace(question, options)
    with running(Engine.load(DEMO_FOLDER, engine="ort-cpu")) as server:
        link = urlencode({"question": question, "option": options}, doseq=True)
        page.open(f"http://127.0.0.1:{server.port}/?{link}")
        page.wait(IDLE)
        assert text(page, "headline") == f"{answer.letter}: {answer.choice}"
        shares = page.run("return [...document.querySelectorAll('td.share')].map((e) => e.textContent)")
        assert shares == [f"{100 * share:.1f} %" for share in answer.probabilities.values()]
        steps = page.run(
            "return [...document.querySelectorAll('#steps > div > div:first-child')].map((e) => e.textContent)"
        )
        assert steps == [one.letter for one in trace.answers]
        page.picture(tmp_path / "letter.png")
        assert (tmp_path / "letter.png").stat().st_size > 10_000
        loaded = page.run("return performance.getEntriesByType('resource').map((e) => e.name)")
        assert loaded, "its style, its script, and what it asked"
        assert {one.split("/")[2] for one in loaded} == {f"127.0.0.1:{server.port}"}


def test_a_text_comes_and_an_error_is_said(page: Browser) -> None:
    with running(fake_engine(decoder=FakeDecoder("Grüße, 日本!"))) as server:
        home = f"http://127.0.0.1:{server.port}/"
        page.open(f"{home}?{urlencode({'question': 'Where?'})}")
        page.wait(IDLE)
        assert text(page, "text") == "Grüße, 日本!"
        assert "tokens" in text(page, "ran")
        page.open(f"{home}?{urlencode({'question': 'why ' * 2_000})}")
        page.wait(IDLE)
        assert "this bundle takes at most" in text(page, "error")


def test_the_keyboard_asks_and_every_field_has_a_name(page: Browser) -> None:
    with running(fake_engine(decoder=FakeDecoder("Yes."))) as server:
        page.open(f"http://127.0.0.1:{server.port}/")
        page.run("document.getElementById('question').value = 'Really?'")
        page.run("document.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', ctrlKey: true}))")
        page.wait(IDLE)
        assert text(page, "text") == "Yes."
        unnamed = "return [...document.querySelectorAll('textarea, input')].filter((e) => !e.labels.length).length"
        assert page.run(unnamed) == 0
        assert page.run("return document.activeElement.id") == "question"
        assert page.run("return document.documentElement.scrollWidth <= innerWidth")
