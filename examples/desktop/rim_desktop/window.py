"""The window: what can be done when, its menus, and bundles that are dropped on it."""

from __future__ import annotations

from enum import Enum, auto
from pathlib import Path

from PySide6.QtCore import QSettings, Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QResizeEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)
from rim_runtime import Progress, QuestionError

from rim_desktop.answer_view import AnswerView
from rim_desktop.menus import Menus
from rim_desktop.notice import Kind, Notice, announce
from rim_desktop.question_form import QuestionForm
from rim_desktop.recent import RecentBundles
from rim_desktop.session import Session
from rim_desktop.words import DEMO, DEMO_NOTE
from rim_desktop.worker import Opened

_WIDE = 68
"""Average characters across which question and answer stand side by side."""

_BESIDE, _BELOW = QBoxLayout.Direction.LeftToRight, QBoxLayout.Direction.TopToBottom


class State(Enum):
    """What the window is doing."""

    LOADING = auto()
    """A bundle is being loaded."""
    EMPTY = auto()
    """No bundle is open."""
    READY = auto()
    """A question can be asked."""
    ASKING = auto()
    """A question is being answered."""


class Window(QMainWindow):
    """Asks one bundle at a time. It never waits: what takes long is the session's."""

    settled = Signal()
    """A load or a question has ended, well or not."""
    closed = Signal()
    """The user has closed it."""

    def __init__(self, session: Session, settings: QSettings) -> None:
        super().__init__()
        self._session, self._settings = session, settings
        self._recent = RecentBundles(settings)
        self._opened: Opened | None = None
        self.form, self.answer = QuestionForm(), AnswerView()
        self.error, self.notes = Notice(Kind.ERROR), Notice(Kind.NOTE)
        self.ask_button, self.cancel_button = QPushButton("&Ask"), QPushButton("Cancel")
        self.progress, self.bundle_label = QProgressBar(), QLabel()
        self.menus = Menus(self, self._recent)
        self._columns, self._area = QBoxLayout(_BELOW), QScrollArea()
        self._lay_out()
        self._listen()
        self._set_state(State.EMPTY)

    @property
    def state(self) -> State:
        """What it is doing."""
        return self._state

    def open(self, place: Path | None) -> None:
        """Load a bundle; None: the one that `rim-edge ask` uses. What is under way is given up."""
        self._session.cancel()
        self._begin(State.LOADING)
        self._session.load(place)

    def ask(self) -> None:
        """Ask what is in the form, if that can be asked now."""
        if not self.ask_button.isEnabled():
            return
        try:
            question = self.form.question()
        except QuestionError as error:
            self.error.say(str(error))
            return
        self.answer.clear()
        self._begin(State.ASKING)
        self._session.ask(question)

    def cancel(self) -> None:
        """Give up the load or the question under way."""
        self._session.cancel()

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 (Qt's name, as below)
        """Let the window go at once; whoever listens to `closed` ends the work."""
        self._settings.setValue("geometry", self.saveGeometry())
        event.accept()
        self.closed.emit()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Put question and answer side by side where there is room."""
        super().resizeEvent(event)
        is_wide = event.size().width() > _WIDE * self.fontMetrics().averageCharWidth()
        self._columns.setDirection(_BESIDE if is_wide else _BELOW)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        """Take one folder or file."""
        if _dropped(event) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        """Open what was dropped."""
        place = _dropped(event)
        if place is not None:
            event.acceptProposedAction()
            self.open(place)

    def choose_folder(self) -> None:
        """Let the user choose a bundle's folder, and open it."""
        if chosen := QFileDialog.getExistingDirectory(self, "Open a bundle's folder"):
            self.open(Path(chosen))

    def choose_zip(self) -> None:
        """Let the user choose a bundle in a .zip file, and open it."""
        chosen, _ = QFileDialog.getOpenFileName(self, "Open a bundle's .zip file", "", "Bundles (*.zip)")
        if chosen:
            self.open(Path(chosen))

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        for widget in (self.ask_button, self.cancel_button, self.progress):
            buttons.addWidget(widget)
        buttons.addStretch(1)
        asked = QVBoxLayout()
        asked.addWidget(self.form)
        asked.addLayout(buttons)
        asked.addWidget(self.error)
        asked.addWidget(self.notes)
        asked.addStretch(1)
        self._columns.addLayout(asked, 1)
        self._columns.addSpacing(self.fontMetrics().height())
        self._columns.addWidget(self.answer, 1)
        content = QWidget()
        content.setLayout(self._columns)
        self._area.setWidget(content)
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QScrollArea.Shape.NoFrame)
        self._area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setCentralWidget(self._area)
        self.statusBar().addPermanentWidget(self.bundle_label)
        self.setWindowTitle("RiM desktop")
        self.setAcceptDrops(True)
        geometry = self._settings.value("geometry")
        if geometry is None or not self.restoreGeometry(geometry):
            line = self.fontMetrics().height()
            self.resize(56 * line, 38 * line)

    def _listen(self) -> None:
        self.ask_button.setToolTip("Ctrl+Enter")
        self.cancel_button.setToolTip("Esc")
        self.ask_button.clicked.connect(self.ask)
        self.cancel_button.clicked.connect(self.cancel)
        self.form.edited.connect(self._show_state)
        worker, session = self._session.worker, self._session
        worker.progressed.connect(self._show_progress)
        worker.opened.connect(self._show_bundle)
        worker.answered.connect(self.answer.show_letter)
        worker.traced.connect(self.answer.show_trace)
        worker.wrote.connect(self.answer.add_text)
        worker.written.connect(self.answer.end_text)
        worker.failed.connect(self.error.say)
        worker.cancelled.connect(lambda: self.statusBar().showMessage("Cancelled."))
        session.settled.connect(self._settle)

    def _begin(self, state: State) -> None:
        """Take back what was said of the job before, and show that something is under way."""
        self.error.say("")
        self.statusBar().clearMessage()
        self.progress.setRange(0, 0)
        self._set_state(state)

    def _set_state(self, state: State) -> None:
        self._state = state
        self._show_state()

    def _show_state(self) -> None:
        is_busy = self._state in (State.LOADING, State.ASKING)
        self.ask_button.setEnabled(self._state is State.READY and not self.form.is_empty())
        self.cancel_button.setVisible(is_busy)
        self.progress.setVisible(is_busy)
        self.menus.show_state(is_busy=is_busy, can_ask=self.ask_button.isEnabled())

    def _settle(self) -> None:
        if self._state is State.ASKING and self.answer.words():
            announce(self.answer, self.answer.words())
            QTimer.singleShot(0, lambda: self._area.ensureWidgetVisible(self.answer.facts))
        held_focus = self.cancel_button.hasFocus()
        self._set_state(State.EMPTY if self._opened is None else State.READY)
        if held_focus:
            self.form.text.setFocus()
        self.settled.emit()

    def _show_progress(self, step: Progress) -> None:
        self.statusBar().showMessage(step.text)
        share = step.share
        self.progress.setRange(0, 0 if share is None else 100)
        self.progress.setValue(round(100 * (share or 0)))

    def _show_bundle(self, opened: Opened) -> None:
        self._opened = opened
        if opened.place is not None:
            self._recent.add(opened.place)
        self.answer.clear()
        self.statusBar().clearMessage()
        self.bundle_label.setText(f"{opened.name} · {opened.runs}")
        self.form.options.set_hint(writes_text=opened.writes_text)
        self.notes.say("\n".join([*([DEMO_NOTE] if opened.name == DEMO else []), *opened.notes]))


def _dropped(event: QDropEvent) -> Path | None:
    """Return the one local folder or file that is dragged; None for anything else."""
    urls = event.mimeData().urls()
    return Path(urls[0].toLocalFile()) if len(urls) == 1 and urls[0].isLocalFile() else None
