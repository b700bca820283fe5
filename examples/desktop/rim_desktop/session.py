"""The window's end of the work: start a job, cancel it, end the thread. Nothing here waits."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Qt, QThread, Signal
from rim_runtime import Cancellation, Engine, Question

from rim_desktop.worker import OpenEngine, Worker


class Session(QObject):
    """A worker and its thread. A job waits for the one before it; `cancel` gives up the last one."""

    settled = Signal()
    """No job is under way, and none waits."""
    stopped = Signal()
    """The engine is freed and the thread has ended."""
    _load_wanted = Signal(object, object)
    _ask_wanted = Signal(object, object)
    _close_wanted = Signal()

    def __init__(self, open_engine: OpenEngine = Engine.load) -> None:
        super().__init__()
        self.worker = Worker(open_engine)
        self._cancel, self._jobs = Cancellation(), 0
        self._thread = QThread()
        self._thread.setObjectName("rim-engine")
        self.worker.moveToThread(self._thread)
        self._load_wanted.connect(self.worker.load)
        self._ask_wanted.connect(self.worker.ask)
        self._close_wanted.connect(self.worker.close)
        self.worker.done.connect(self._end_job)
        # direct: `wait` needs no event loop here
        self.worker.closed.connect(self._thread.quit, Qt.ConnectionType.DirectConnection)
        self._thread.finished.connect(self.stopped)
        self._thread.start()

    def load(self, place: Path | None) -> None:
        """Load a bundle; None: the one that `rim-edge ask` uses."""
        self._begin_job()
        self._load_wanted.emit(place, self._cancel)

    def ask(self, question: Question) -> None:
        """Ask the bundle that is open."""
        self._begin_job()
        self._ask_wanted.emit(question, self._cancel)

    def cancel(self) -> None:
        """Give up the job under way."""
        self._cancel.cancel()

    def stop(self) -> None:
        """Give up the job under way, free the engine, and end the thread; `stopped` tells when that is done."""
        self.cancel()
        self._close_wanted.emit()

    def wait(self) -> None:
        """Return once the thread has ended. Only for a program whose window is gone: this blocks."""
        self._thread.wait()

    def _begin_job(self) -> None:
        self._cancel = Cancellation()
        self._jobs += 1

    def _end_job(self) -> None:
        self._jobs -= 1
        if not self._jobs:
            self.settled.emit()
