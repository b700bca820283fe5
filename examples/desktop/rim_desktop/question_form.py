"""The question and its options: a box for the text, and as many lines for options as are wanted."""

from __future__ import annotations

from PySide6.QtCore import QMimeData, Qt, QTimer, Signal
from PySide6.QtWidgets import QGridLayout, QLabel, QLineEdit, QPlainTextEdit, QVBoxLayout, QWidget
from rim_runtime import Question, QuestionError

LETTERS = "ABCDEFGHIJ"
"""The most options that a question can have, by their letters."""
_FIRST_LINES = 2
_READ_AFTER_MS = 250


class QuestionBox(QPlainTextEdit):
    """Plain text; Tab leaves it, and files dropped on it are the window's."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTabChangesFocus(True)
        self.setPlaceholderText("Ask something. Options may stand at the end: A. …, B. …, each on a line.")

    def canInsertFromMimeData(self, source: QMimeData) -> bool:  # noqa: N802 (Qt's name)
        """Take texts alone."""
        return not source.hasUrls() and super().canInsertFromMimeData(source)


class OptionLines(QWidget):
    """Lines for options, a letter before each; there is always one more than are filled, up to ten."""

    edited = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._lines: list[QLineEdit] = []
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setColumnStretch(1, 1)
        for _ in range(_FIRST_LINES):
            self._add()

    @property
    def first(self) -> QLineEdit:
        """The line of option A."""
        return self._lines[0]

    def texts(self) -> list[str]:
        """Return the options, the empty lines behind the last of them left out."""
        texts = [line.text().strip() for line in self._lines]
        while texts and not texts[-1]:
            texts.pop()
        return texts

    def set_texts(self, texts: list[str]) -> None:
        """Write options into the lines."""
        while len(self._lines) < len(texts):
            self._add()
        for number, line in enumerate(self._lines):
            line.setText(texts[number] if number < len(texts) else "")

    def set_hint(self, *, writes_text: bool) -> None:
        """Say what comes of a question without options."""
        without = "is answered in words" if writes_text else "is answered by the likeliest of all letters"
        self.first.setPlaceholderText(f"without options, a question {without}")

    def _add(self) -> None:
        letter = LETTERS[len(self._lines)]
        line, label = QLineEdit(self), QLabel(letter, self)
        line.setAccessibleName(f"Option {letter}")
        line.textChanged.connect(self._changed)
        self._grid.addWidget(label, len(self._lines), 0)
        self._grid.addWidget(line, len(self._lines), 1)
        if self._lines:
            QWidget.setTabOrder(self._lines[-1], line)
        self._lines.append(line)

    def _changed(self) -> None:
        if self._lines[-1].text() and len(self._lines) < len(LETTERS):
            self._add()
        self.edited.emit()


class QuestionForm(QWidget):
    """What is asked, and what was read of it."""

    edited = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text, self.options, self.reading = QuestionBox(self), OptionLines(self), QLabel(self)
        question, options = QLabel("Q&uestion", self), QLabel("O&ptions", self)
        question.setBuddy(self.text)
        options.setBuddy(self.options.first)
        self.text.setAccessibleName("Question")
        self.reading.setTextFormat(Qt.TextFormat.PlainText)
        self.reading.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (question, self.text, self.reading, options, self.options):
            layout.addWidget(widget)
        self._soon = QTimer(self, singleShot=True, interval=_READ_AFTER_MS)
        self._soon.timeout.connect(self._read)
        for edited in (self.text.textChanged, self.options.edited):
            edited.connect(self._soon.start)
            edited.connect(self.edited)
        self.reading.hide()

    def question(self) -> Question:
        """Return what is asked; where no line for an option is filled, options are read from the text.

        Raises QuestionError, as the engine would.
        """
        asked = Question(self.text.toPlainText(), self.options.texts() or None)
        asked.rendered(), asked.offered()
        return asked

    def is_empty(self) -> bool:
        """Whether there is no text to ask."""
        return not self.text.toPlainText().strip()

    def _read(self) -> None:
        """Say which options were read from the text, while it is written."""
        said = ""
        if not self.is_empty():
            try:
                found = self.question().offered()
                said = (
                    f"options read from the text: {', '.join(found)}" if found and not self.options.texts() else ""
                )
            except QuestionError as error:
                said = str(error)
        self.reading.setText(said)
        self.reading.setVisible(bool(said))
