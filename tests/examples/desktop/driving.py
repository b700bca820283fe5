"""The desktop app, driven as a user would: keys, clicks, and waiting for what appears. Qt draws to memory."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import Cancellation, CancelledError, Engine, FakeBackend
from rim_runtime.testing import fake_engine

from tests.places import REPOSITORY

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
pytest.importorskip(
    "PySide6.QtWidgets",
    reason="needs PySide6-Essentials, and of Debian libegl1 libgl1 libxkbcommon0 libdbus-1-3 libfontconfig1",
    exc_type=ImportError,
)
DESKTOP = REPOSITORY / "examples" / "desktop"
sys.path.append(str(DESKTOP))

from PySide6.QtCore import QSettings, Qt  # noqa: E402 (only where Qt is there)
from PySide6.QtTest import QTest  # noqa: E402
from PySide6.QtWidgets import QApplication  # noqa: E402
from rim_desktop.session import Session  # noqa: E402
from rim_desktop.window import State, Window  # noqa: E402

PUZZLE = (
    "There are eight rooms, A to H, with one door out of each. The door in B leads to E. The door in G leads to A."
    " The door in E leads to C. The door in H leads to G. The door in A leads to D. The door in F leads to B. "
    "The door in D leads to H. The door in C leads to F. You start in B and walk through three doors. "
    "In which room are you?"
)
ANY = Qt.KeyboardModifier.NoModifier


class SlowBackend(FakeBackend):
    """Answers when it is let go, or gives up when it is cancelled, as an engine on a CPU does."""

    def __init__(self, logits: list[float] | None = None) -> None:
        super().__init__(logits)
        self.started, self.go = threading.Event(), threading.Event()

    def run(self, *given: Any) -> Any:
        self.started.set()
        cancel, end = given[-1], time.monotonic() + 60
        while not self.go.wait(0.005):
            cancel.check()
            assert time.monotonic() < end, "nobody let it go"
        assert not self.closed, "it was freed while it answered"
        return super().run(*given)


def opening(engine: Engine) -> Callable[..., Engine]:
    """Return what opens this very engine, whatever bundle is wanted."""
    return lambda place, *, progress, cancel: engine


def never_loading(place: object, *, progress: object, cancel: Cancellation) -> Engine:
    """Load for ever, until that is cancelled."""
    while not cancel.cancelled:
        time.sleep(0.005)
    raise CancelledError


class Driver:
    """A window, and the hands of a user."""

    def __init__(self, window: Window, session: Session) -> None:
        self.window, self.session = window, session

    def wait(self, until: Callable[[], object], seconds: float = 60) -> None:
        """Let events happen until something is so."""
        end = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < end, "it did not happen"
            QTest.qWait(5)

    def open(self, place: Path | None = None) -> None:
        """Open a bundle and wait for it."""
        self.window.open(place)
        self.wait_idle()

    def wait_idle(self) -> None:
        """Wait until nothing is under way."""
        self.wait(lambda: self.window.state in (State.READY, State.EMPTY))

    def type(self, text: str) -> None:
        """Write a question in the place of the one before."""
        box = self.window.form.text
        box.setFocus()
        box.selectAll()
        QTest.keyClicks(box, text)

    def click_ask(self) -> None:
        """Press the button."""
        QTest.mouseClick(self.window.ask_button, Qt.MouseButton.LeftButton, ANY)

    def ask(self, text: str) -> None:
        """Write a question, press the button, wait for the answer."""
        self.type(text)
        self.click_ask()
        self.wait_idle()

    def key(self, key: Qt.Key, held: Qt.KeyboardModifier = ANY) -> None:
        """Press a key, as the window system would say it: shortcuts come first, then where the focus is."""
        QTest.keyClick(self.window.windowHandle(), key, held)


@contextmanager
def driving(settings: Path, open_engine: Callable[..., Engine] | None = None) -> Iterator[Driver]:
    """Give a window that is shown; in the end it is closed and its thread has ended."""
    app = QApplication.instance() or QApplication([])
    assert isinstance(app, QApplication)
    caught: list[BaseException] = []
    before, sys.excepthook = sys.excepthook, lambda kind, error, trace: caught.append(error)
    session = Session() if open_engine is None else Session(open_engine)
    window = Window(session, QSettings(str(settings), QSettings.Format.IniFormat))
    try:
        window.show()
        window.activateWindow()
        yield Driver(window, session)
    finally:
        session.stop()
        session.wait()
        window.close()
        window.deleteLater()
        QTest.qWait(1)
        sys.excepthook = before
    assert caught == [], "nothing went wrong inside a slot"


def always(letter: str) -> FakeBackend:
    """Return a backend that always answers with this letter."""
    return FakeBackend([9.0 if one == letter else 0.0 for one in "ABCDEFGHIJ"])


__all__ = [
    "DESKTOP",
    "PUZZLE",
    "Driver",
    "SlowBackend",
    "always",
    "driving",
    "fake_engine",
    "never_loading",
    "opening",
]
