"""The desktop app answers what the engine answers, and says of it what `rim-edge ask` says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from rim_runtime import Engine, FakeDecoder

from tests.examples.desktop.driving import PUZZLE, always, driving, fake_engine, opening
from tests.places import DEMO_FOLDER

from PySide6.QtCore import Qt  # isort: skip (where Qt is not there, the line above skips)
from rim_desktop.bars import ROW  # isort: skip
from rim_desktop.trace_view import trace_grid  # isort: skip


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    return tmp_path / "settings.ini"


def test_the_demos_puzzle_is_answered_drawn_and_traced(settings: Path) -> None:
    with Engine.load(DEMO_FOLDER) as engine:
        answer, trace = engine.ask(PUZZLE), engine.trace(PUZZLE)
    with driving(settings) as user:
        user.open()
        user.ask(PUZZLE)
        shown, letters = user.window.answer, user.window.answer.bars.letters
        assert shown.letter.text() == answer.letter == "F"
        rows = [letters.index(place, 0).data(ROW) for place in range(letters.rowCount())]
        expected = {letter: share for letter, share in answer.probabilities.items() if share >= 0.005}
        assert {row.letter: row.share for row in rows} == pytest.approx(expected)
        assert [row.letter for row in rows if row.is_best] == ["F"]
        words = shown.trace.accessibleDescription()
        assert words == trace_grid(trace, {}).words
        assert words.count("after ") == 1 + answer.blocks
        assert all(f"after {blocks} blocks {one} " in words for blocks, one in enumerate(trace.letters))
        assert shown.trace.height() > 40, "a row for each letter that leads somewhere"


def test_it_says_what_the_command_line_says(settings: Path, own_home: Path) -> None:
    ask = [sys.executable, "-m", "rim_edge", "ask", "--engine", "ort-cpu"]
    for given in ([PUZZLE], ["Which vitamin?", "-c", "Vitamin A", "-c", "Vitamin C"]):
        printed = subprocess.run([*ask, *given], capture_output=True, text=True, check=True, timeout=120).stdout
        lines = [line.strip() for line in printed.splitlines() if line.strip()]
        with driving(settings) as user:
            user.open()
            user.window.form.options.set_texts(given[2::2])
            user.ask(given[0])
            shown = user.window.answer
            told = " ".join(" ".join([shown.letter.text(), shown.headline.text()]).split())
            assert " ".join(lines[0].split()) == told
            assert shown.facts.text().rpartition(" · ")[0] == lines[-2].rpartition(" · ")[0]
            assert shown.known.text() == lines[-1]


def test_a_calibrated_bundle_is_said_to_be_one(settings: Path, own_home: Path, tmp_path: Path) -> None:
    from rim_runtime import Calibration
    from rim_runtime.calibration import keep_calibration

    with Engine.load(DEMO_FOLDER) as engine:
        found = Calibration(2.0, 0.9, 0.999, 4, 300, "ward.jsonl", "")
        keep_calibration(engine.manifest, engine.precision, found)
        given = engine.ask(PUZZLE).probabilities
    with driving(settings) as user:
        user.open()
        user.ask(PUZZLE)
        letters = user.window.answer.bars.letters
        rows = [letters.index(place, 0).data(ROW) for place in range(letters.rowCount())]
        assert {row.letter: row.share for row in rows}["F"] == pytest.approx(found.probabilities(given)["F"])
        said = "calibrated on 300 questions of ward.jsonl; with 90 % it is F"
        assert user.window.answer.known.text().partition("; ")[2].startswith(said)


def test_options_are_typed_line_after_line(settings: Path) -> None:
    with driving(settings, opening(fake_engine(always("C")))) as user:
        user.open()
        user.type("Which one?")
        for text in ("this", "that", "neither"):
            user.key(Qt.Key.Key_Tab)
            for sign in text:
                user.key(Qt.Key(ord(sign.upper())))
        user.key(Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
        user.wait_idle()
        shown = user.window.answer
        assert shown.letter.text() == "C"
        assert shown.headline.text().startswith("neither   leads by")
        assert shown.bars.letters.rowCount() == 3
        assert shown.trace.height() == 0, "this bundle has no trace"


def test_a_pasted_exam_question_brings_its_options(settings: Path) -> None:
    pasted = "Which vitamin prevents scurvy?\n\nA. Vitamin A\nB. Vitamin B12\nC. Vitamin C\nD. Vitamin D"
    with driving(settings, opening(fake_engine(always("C")))) as user:
        user.open()
        user.window.form.text.insertPlainText(pasted)
        user.wait(lambda: user.window.form.reading.text() == "options read from the text: A, B, C, D")
        user.click_ask()
        user.wait_idle()
        assert user.window.answer.headline.text().startswith("Vitamin C")
        user.window.form.text.setPlainText(pasted.replace("C. ", "F. "))
        user.wait(lambda: "which letters it offers is not clear" in user.window.form.reading.text())


def test_at_most_ten_options_have_a_line(settings: Path) -> None:
    with driving(settings, opening(fake_engine(always("J")))) as user:
        user.open()
        user.window.form.options.set_texts([f"option {number}" for number in range(10)])
        user.ask("Which one?")
        assert user.window.answer.headline.text().startswith("option 9")
        assert len(user.window.form.options.texts()) == 10


def test_a_text_comes_and_markup_in_it_stays_text(settings: Path) -> None:
    said = "<b>Grüße</b>,\n日本!"
    with driving(settings, opening(fake_engine(decoder=FakeDecoder(said)))) as user:
        user.open()
        pieces: list[str] = []
        user.session.worker.wrote.connect(pieces.append)
        user.ask("Where?")
        assert user.window.answer.text.toPlainText() == said == "".join(pieces)
        assert len(pieces) > 5, "it was shown piece by piece"
        assert " tokens · first after " in user.window.answer.facts.text()
        user.window.form.options.set_texts(["<i>x</i>", "y"])
        user.ask("Which?")
        assert not user.window.answer.text.isVisible()
        assert user.window.answer.headline.textFormat() == Qt.TextFormat.PlainText
