"""What runs: arguments, one window, and the order in which all of it ends."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QSettings
from PySide6.QtWidgets import QApplication

from rim_desktop.self_check import SelfCheck
from rim_desktop.session import Session
from rim_desktop.window import Window

ORGANISATION, NAME = "rim-edge", "rim-desktop"


def main(arguments: Sequence[str]) -> int:
    """Run the app until its window is closed, and return the exit code."""
    given = _parser().parse_args(arguments[1:])
    app = QApplication(list(arguments[:1]))
    app.setApplicationName(NAME)
    app.setQuitOnLastWindowClosed(False)  # the engine is freed first, which may take longer than the window stays
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own handler would wait for the next event
    session = Session()
    window = Window(session, QSettings(QSettings.Format.IniFormat, QSettings.Scope.UserScope, ORGANISATION, NAME))
    window.closed.connect(session.stop)
    session.stopped.connect(app.quit)
    show_faults(window)
    check = SelfCheck(window, given.ask, given.screenshot) if given.ask or given.screenshot else None
    window.show()
    window.open(given.bundle)
    app.exec()
    session.stop()  # where the system ends the app without closing its window
    session.wait()
    return 0 if check is None else check.code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=NAME, description="Ask a RiM bundle in a window.")
    parser.add_argument("bundle", nargs="?", type=Path, help="a folder or .zip file; else the one of rim-edge ask")
    parser.add_argument("--ask", metavar="TEXT", help="ask this at once, print the answer, and quit")
    parser.add_argument("--screenshot", metavar="FILE", type=Path, help="save the window to this PNG, and quit")
    return parser


def show_faults(window: Window) -> None:
    """Show faults of the app itself: a windowed program has no stderr."""

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        window.error.say(f"This app has a fault ({error!r}). Its other parts may go on.")
        sys.__excepthook__(kind, error, trace)

    sys.excepthook = show
