"""What goes wrong is said in the window; the window goes on, can be cancelled, and ends at once."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import BundleNotFoundError, Engine, FakeBackend, FakeDecoder, QuestionTooLongError

from tests.examples.desktop.driving import SlowBackend, always, driving, fake_engine, never_loading, opening
from tests.places import DEMO_FOLDER

from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QTimer, QUrl  # isort: skip (as in test_answers.py)
from PySide6.QtGui import QDragEnterEvent, QDropEvent  # isort: skip
from PySide6.QtWidgets import QAbstractButton, QApplication, QLineEdit, QPlainTextEdit  # isort: skip
from rim_desktop.window import State  # isort: skip


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    return tmp_path / "settings.ini"


def test_too_long_a_question_is_refused_in_the_engines_words(settings: Path) -> None:
    with driving(settings, opening(engine := fake_engine(always("A")))) as user:
        user.open()
        with pytest.raises(QuestionTooLongError) as refused:
            engine.ask("why " * 2_000)
        user.window.form.text.setPlainText("why " * 2_000)
        user.click_ask()
        user.wait_idle()
        assert user.window.error.isVisible()
        assert user.window.error.text() == str(refused.value)
        user.ask("Why?")
        assert not user.window.error.isVisible()
        assert user.window.answer.letter.text() == "A"


def test_a_wrong_folder_is_said_and_the_bundle_before_goes_on(settings: Path, tmp_path: Path) -> None:
    with driving(settings) as user:
        user.open(tmp_path)
        assert user.window.state is State.EMPTY
        user.type("Which?")
        assert not user.window.ask_button.isEnabled()
        user.open(DEMO_FOLDER)
        user.open(tmp_path)
        with pytest.raises(BundleNotFoundError) as refused:
            Engine.load(tmp_path)
        assert user.window.error.text() == str(refused.value)
        user.ask("Which?")
        assert user.window.answer.headline.text()


def test_an_engine_that_fails_is_said(settings: Path) -> None:
    class Broken(FakeBackend):
        def run(self, *_: object) -> object:  # type: ignore[override]
            raise ZeroDivisionError("by nobody's plan")

    with driving(settings, opening(fake_engine(FakeBackend([float("nan")] * 10)))) as user:
        user.open()
        user.ask("Which?")
        assert "logits that are not finite" in user.window.error.text()
    with driving(settings, opening(fake_engine(Broken()))) as user:
        user.open()
        user.ask("Which?")
        assert "by nobody's plan" in user.window.error.text()


def test_the_window_lives_while_a_question_is_answered(settings: Path) -> None:
    slow = SlowBackend([0.0] * 9 + [9.0])
    with driving(settings, opening(fake_engine(slow))) as user:
        user.open()
        ticks: list[None] = []
        timer = QTimer(interval=10)
        timer.timeout.connect(lambda: ticks.append(None))
        user.type("Which?")
        user.click_ask()
        user.wait(slow.started.is_set)
        timer.start()
        user.wait(lambda: len(ticks) >= 20, 20)
        assert user.window.state is State.ASKING
        assert user.window.cancel_button.isVisible()
        assert not user.window.ask_button.isEnabled()
        user.type("The next one?")
        slow.go.set()
        user.wait_idle()
        assert user.window.answer.letter.text() == "J"
        assert user.window.form.text.toPlainText() == "The next one?"


def test_escape_cancels_a_question_and_the_next_is_answered(settings: Path) -> None:
    slow = SlowBackend([9.0] + [0.0] * 9)
    with driving(settings, opening(fake_engine(slow))) as user:
        user.open()
        user.type("Which?")
        user.click_ask()
        user.wait(slow.started.is_set)
        user.key(Qt.Key.Key_Escape)
        user.wait_idle()
        assert user.window.statusBar().currentMessage() == "Cancelled."
        assert not user.window.error.isVisible()
        assert user.window.answer.letter.text() == ""
        slow.go.set()
        user.ask("Which?")
        assert user.window.answer.letter.text() == "A"


def test_a_text_is_cancelled_where_it_is(settings: Path) -> None:
    class SlowDecoder(FakeDecoder):
        def step(self, *given: Any, **named: Any) -> Any:
            time.sleep(0.01)
            return super().step(*given, **named)

    with driving(settings, opening(fake_engine(decoder=SlowDecoder("In the kitchen. " * 20)))) as user:
        user.open()
        user.type("Where?")
        user.click_ask()
        user.wait(lambda: len(user.window.answer.text.toPlainText()) > 5)
        user.key(Qt.Key.Key_Escape)
        user.wait_idle()
        assert 5 < len(user.window.answer.text.toPlainText()) < 200
        assert user.window.statusBar().currentMessage() == "Cancelled."


def test_a_fault_of_the_app_itself_is_said(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rim_desktop.application import show_faults

    with driving(settings, opening(fake_engine(always("A")))) as user:
        monkeypatch.setattr(sys, "excepthook", None)
        show_faults(user.window)
        user.session.worker.progressed.emit("no progress")
        user.wait(user.window.error.isVisible)
        assert "This app has a fault (AttributeError" in user.window.error.text()


def test_a_load_is_cancelled(settings: Path) -> None:
    with driving(settings, never_loading) as user:
        user.window.open(None)
        user.window.cancel_button.click()
        user.wait_idle()
        assert user.window.state is State.EMPTY
        assert user.window.statusBar().currentMessage() == "Cancelled."


def test_another_bundle_gives_up_the_question_and_frees_the_engine(settings: Path) -> None:
    first, second = SlowBackend(), always("B")
    engines = [fake_engine(first), fake_engine(second)]
    with driving(settings, lambda place, *, progress, cancel: engines.pop(0)) as user:
        user.open()
        user.type("Which?")
        user.click_ask()
        user.wait(first.started.is_set)
        user.open(DEMO_FOLDER)
        assert first.closed
        user.ask("Which?")
        assert user.window.answer.letter.text() == "B"
    assert second.closed


def test_it_closes_while_it_asks(settings: Path) -> None:
    slow = SlowBackend()
    with driving(settings, opening(fake_engine(slow))) as user:
        stopped: list[bool] = []
        user.session.stopped.connect(lambda: stopped.append(slow.closed))
        user.window.closed.connect(user.session.stop)
        user.open()
        user.type("Which?")
        user.click_ask()
        user.wait(slow.started.is_set)
        user.window.close()
        assert not user.window.isVisible(), "at once"
        user.wait(lambda: stopped)
        assert stopped == [True], "the engine is freed before the thread's end"


def test_a_dropped_folder_is_opened_and_remembered(settings: Path) -> None:
    with driving(settings) as user:
        for text, takes in (("https://example.org/x", False), (DEMO_FOLDER.as_uri(), True)):
            dragged = QMimeData()
            dragged.setUrls([QUrl(text)])
            copying, button, held = (
                Qt.DropAction.CopyAction,
                Qt.MouseButton.LeftButton,
                Qt.KeyboardModifier.NoModifier,
            )
            enter = QDragEnterEvent(QPoint(5, 5), copying, dragged, button, held)
            enter.ignore()
            QApplication.sendEvent(user.window, enter)
            assert enter.isAccepted() is takes
            assert not user.window.form.text.canInsertFromMimeData(dragged)
        QApplication.sendEvent(user.window, QDropEvent(QPointF(5, 5), copying, dragged, button, held))
        user.wait_idle()
        assert user.window.bundle_label.text() == "demo · ort-cpu · int8"
    with driving(settings) as user:  # another start
        user.window.menus.recent_menu.aboutToShow.emit()
        first, *_, last = user.window.menus.recent_menu.actions()
        assert first.text() == str(DEMO_FOLDER)
        first.trigger()
        user.wait_idle()
        assert user.window.state is State.READY
        last.trigger()
        user.window.menus.recent_menu.aboutToShow.emit()
        assert str(DEMO_FOLDER) not in [one.text() for one in user.window.menus.recent_menu.actions()]


def test_all_that_takes_the_focus_has_a_name_and_tab_reaches_it(settings: Path) -> None:
    with driving(settings, opening(fake_engine(always("A")))) as user:
        user.open()
        user.window.form.options.set_texts(["x", "y"])
        user.ask("Which?")
        named = [*user.window.findChildren(QPlainTextEdit), *user.window.findChildren(QLineEdit)]
        assert all(one.accessibleName() for one in named)
        assert all(one.text() for one in user.window.findChildren(QAbstractButton) if one.isVisible())
        letters = user.window.answer.bars.letters
        assert letters.index(0, 0).data(Qt.ItemDataRole.AccessibleTextRole) == "A, x, > 99 %"
        reached = set()
        for _ in range(20):
            user.key(Qt.Key.Key_Tab)
            reached.add(QApplication.focusWidget())
        wanted = {user.window.form.text, user.window.ask_button, user.window.answer.bars}
        assert wanted <= reached
        user.key(Qt.Key.Key_P, Qt.KeyboardModifier.AltModifier)
        assert QApplication.focusWidget() is user.window.form.options.first
        user.key(Qt.Key.Key_U, Qt.KeyboardModifier.AltModifier)
        assert QApplication.focusWidget() is user.window.form.text
        keys = [
            action.shortcut().toString()
            for menu in user.window.menuBar().actions()
            for action in menu.menu().actions()
        ]
        assert {"Ctrl+O", "Ctrl+Return", "Esc", "Ctrl+Q"} <= set(keys)


def test_signals_leave_true_alone() -> None:
    """PySide6 6.12.0 takes a reference from True with each signal: on Python 3.11 a long text ended the app."""
    from rim_desktop.worker import Worker

    worker = Worker(never_loading)
    before = sys.getrefcount(True)
    for _ in range(200):
        worker.wrote.emit("piece")
    assert sys.getrefcount(True) > before - 100, "take another release of PySide6"
