"""The window as a picture: light and dark, small and sharp, with letters that can be read.

RIM_EDGE_PICTURES=FOLDER keeps the pictures, to be looked at.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rim_runtime import Engine, FakeDecoder

from tests.examples.desktop.driving import DESKTOP, PUZZLE, Driver, driving, fake_engine, opening
from tests.places import DEMO_FOLDER, REPOSITORY

from PySide6.QtGui import QColor, QFontDatabase, QImage, QPalette  # isort: skip (as in test_answers.py)
from PySide6.QtWidgets import QApplication, QWidget  # isort: skip
from rim_desktop.trace_view import trace_grid  # isort: skip

DARK = {
    QPalette.ColorRole.Base: "#1b1b1b",
    QPalette.ColorRole.Text: "#eeeeee",
    QPalette.ColorRole.Highlight: "#308cc6",
    QPalette.ColorRole.Accent: "#308cc6",
    QPalette.ColorRole.HighlightedText: "#ffffff",
}


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    return tmp_path / "settings.ini"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Return where pictures go."""
    folder = Path(os.environ.get("RIM_EDGE_PICTURES", tmp_path / "pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def dark(settings: Path) -> Iterator[None]:
    """Give the application the colours of a dark desktop."""
    app = QApplication.instance() or QApplication([])
    assert isinstance(app, QApplication)
    before, palette = app.palette(), QPalette(QColor("#2b2b2b"), QColor("#232323"))
    for role, colour in DARK.items():
        palette.setColor(role, QColor(colour))
    app.setPalette(palette)
    yield
    app.setPalette(before)


def need_fonts() -> None:
    """Skip where Qt finds no font: all texts would be boxes."""
    if not QFontDatabase.families():
        pytest.skip("needs a font (Debian: apt-get install fonts-dejavu-core)")


def take(user: Driver, file: Path) -> QImage:
    """Take a picture of the whole window."""
    image = user.window.grab().toImage()
    assert image.save(str(file))
    return image


def drawn(widget: QWidget) -> QImage:
    """Return a widget as it is drawn."""
    return widget.grab().toImage()


def lightness(image: QImage) -> float:
    """Return the mean lightness of some of its points, 0 to 1."""
    places = [(x, y) for x in range(0, image.width(), 7) for y in range(0, image.height(), 7)]
    return sum(image.pixelColor(x, y).lightnessF() for x, y in places) / len(places)


def test_light_with_trace(settings: Path, pictures: Path) -> None:
    with driving(settings) as user:
        need_fonts()
        user.window.resize(900, 620)
        user.open()
        user.ask(PUZZLE)
        assert lightness(take(user, pictures / "light.png")) > 0.8
        answer = user.window.answer
        assert answer.geometry().left() > user.window.form.geometry().right(), "side by side"
        pictured = []
        for letter in ("G", "H"):
            answer.letter.setText(letter)
            pictured.append(drawn(answer.letter))
        assert pictured[0] != pictured[1], "letters are drawn, not boxes"
        colours = {drawn(answer.trace).pixelColor(x, 40).name() for x in range(answer.trace.width())}
        assert len(colours) > 2, "cells are drawn"


def test_dark_without_a_clear_answer(settings: Path, pictures: Path, dark: None) -> None:
    with driving(settings) as user:
        need_fonts()
        user.window.resize(900, 620)
        user.open()
        user.window.form.options.set_texts(["Vitamin A", "Vitamin B12, " * 12, "Vitamin C"])
        user.ask("Which vitamin deficiency causes scurvy?")
        assert lightness(take(user, pictures / "dark.png")) < 0.25
        assert user.window.answer.headline.text().startswith("no clear answer: ")


def test_small_and_in_words(settings: Path, pictures: Path) -> None:
    text = "In the kitchen, " * 30
    with driving(settings, opening(fake_engine(decoder=FakeDecoder(text)))) as user:
        need_fonts()
        user.window.resize(360, 520)
        user.open()
        user.ask("Where is the milk?")
        take(user, pictures / "small.png")
        assert user.window.answer.geometry().top() > user.window.form.geometry().bottom(), "one below the other"
        assert user.window.width() <= 360, "it can be as narrow"
        user.window.form.text.setPlainText("why " * 2_000)
        user.click_ask()
        user.wait_idle()
        take(user, pictures / "error.png")
        assert user.window.error.isVisible()


def test_first_tokens_are_drawn_where_a_bundle_writes_text() -> None:
    from rim_runtime import FirstToken, Trace

    with Engine.load(DEMO_FOLDER) as engine:
        answers = engine.trace(PUZZLE).answers[:3]
    tokens = tuple(FirstToken(number, text, 0.5) for number, text in enumerate((" in", "on", " in")))
    grid = trace_grid(Trace(answers, tokens, 1.0), {})
    assert (grid.labels, grid.chosen) == (("' in'", "on"), (0, 1, 0))
    assert grid.shares == ((0.5, None, 0.5), (None, 0.5, None))
    assert grid.summary == "from block 2 on, after 2 changes"
    assert trace_grid(Trace(answers, tokens, 1.0), {"A": "x"}).labels[0] == "A   x"


PROGRAM = """
import sys
from rim_desktop.application import main
code = main(["app", *sys.argv[1:]])
print(sorted({"torch", "transformers", "PySide6.QtNetwork"} & set(sys.modules)))
sys.exit(code)
"""


def started(tmp_path: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the app in a process of its own."""
    paths = os.pathsep.join(map(str, (DESKTOP, REPOSITORY, REPOSITORY / "export", REPOSITORY / "runtime")))
    environment = {**os.environ, "PYTHONPATH": paths, "QT_SCALE_FACTOR": "2", "XDG_CONFIG_HOME": str(tmp_path)}
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_the_app_checks_itself(tmp_path: Path, pictures: Path) -> None:
    done = started(tmp_path, DEMO_FOLDER, "--ask", PUZZLE, "--screenshot", pictures / "sharp.png")
    assert (done.returncode, done.stdout.splitlines()) == (0, ["F leads by > 99 points", "[]"]), done.stderr
    image = QImage(str(pictures / "sharp.png"))
    assert image.width() > 1_000
    blue = QColor("#308cc6").name()
    points = [(x, y) for x in range(0, image.width(), 4) for y in range(0, image.height(), 4)]
    assert sum(image.pixelColor(x, y).name() == blue for x, y in points) > 1_500, "the bar, and the trace's cells"
    done = started(tmp_path, tmp_path, "--ask", PUZZLE)
    assert done.returncode == 1
    assert "is not a bundle" in done.stderr
    done = started(tmp_path, "--screenshot", tmp_path / "nowhere" / "x.png")
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
