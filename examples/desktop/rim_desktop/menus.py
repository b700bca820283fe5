"""The window's menus: every command has its key."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu

from rim_desktop.recent import RecentBundles

if TYPE_CHECKING:
    from rim_desktop.window import Window


class Menus:
    """Builds the menus of a window, and says which commands can be given now."""

    def __init__(self, window: Window, recent: RecentBundles) -> None:
        self._window, self._recent = window, recent
        bundle, question = window.menuBar().addMenu("&Bundle"), window.menuBar().addMenu("&Question")
        _add(bundle, "&Open folder …", window.choose_folder, "Ctrl+O")
        _add(bundle, "Open .&zip …", window.choose_zip, "Ctrl+Shift+O")
        _add(bundle, "Open the &default", lambda: window.open(None), "Ctrl+D")
        self.recent_menu = bundle.addMenu("&Recent")
        self.recent_menu.aboutToShow.connect(self._list_recent)
        bundle.addSeparator()
        _add(bundle, "&Quit", window.close, "Ctrl+Q")
        self.ask = _add(question, "&Ask", window.ask, "Ctrl+Return", "Ctrl+Enter")
        self.cancel = _add(question, "&Cancel", window.cancel, "Esc")
        self._list_recent()

    def show_state(self, *, is_busy: bool, can_ask: bool) -> None:
        """Enable what can be done now."""
        self.ask.setEnabled(can_ask)
        self.cancel.setEnabled(is_busy)
        self.recent_menu.setEnabled(bool(self._recent.places()))

    def _list_recent(self) -> None:
        self.recent_menu.clear()
        for place in self._recent.places():
            _add(self.recent_menu, str(place).replace("&", "&&"), partial(self._window.open, place))
        self.recent_menu.addSeparator()
        _add(self.recent_menu, "&Clear this list", self._recent.clear)


def _add(menu: QMenu, text: str, called: Callable[[], object], *keys: str) -> QAction:
    action = menu.addAction(text)
    action.triggered.connect(lambda: called())  # without Qt's `checked`
    action.setShortcuts([QKeySequence(key) for key in keys])
    action.setShortcutContext(Qt.ShortcutContext.WindowShortcut)
    return action
