"""The window asked by a program: for a packaged app, that it starts, answers and can be looked at."""

from __future__ import annotations

import sys
from pathlib import Path

from PySide6.QtCore import QObject, QTimer

from rim_desktop.window import State, Window

_LAID_OUT_MS = 50
"""After this, what was shown last has its place in the window."""


class SelfCheck(QObject):
    """Waits for the bundle, asks by the same button that a user presses, saves a picture, and closes the window.

    Without a question the picture is of the window as it opens, before a bundle is loaded.
    """

    def __init__(self, window: Window, question: str | None, screenshot: Path | None) -> None:
        super().__init__(window)
        self.code = 1
        self._window, self._question, self._screenshot = window, question, screenshot
        self._is_asked = False
        if question is None:
            QTimer.singleShot(_LAID_OUT_MS, self._end)
        else:
            window.settled.connect(self._go_on)

    def _go_on(self) -> None:
        if self._is_asked or self._window.state is not State.READY:
            QTimer.singleShot(_LAID_OUT_MS, self._end)
            return
        self._is_asked = True
        self._window.form.text.setPlainText(self._question or "")
        self._window.ask_button.click()

    def _end(self) -> None:
        window, error = self._window, self._window.error.text()
        print(error or window.answer.words(), file=sys.stderr if error else sys.stdout)
        saved = self._screenshot is None or window.grab().save(str(self._screenshot), "PNG")
        if not saved:
            print(f"{self._screenshot} cannot be written, expected a place for a PNG.", file=sys.stderr)
        self.code = int(bool(error) or not saved)
        window.close()
