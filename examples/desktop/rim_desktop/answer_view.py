"""An answer: its letter large, the bars, the text, the trace, what ran, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Qt
from PySide6.QtGui import QPalette, QTextCursor
from PySide6.QtWidgets import QGridLayout, QLabel, QPlainTextEdit, QVBoxLayout, QWidget
from rim_runtime import Trace

from rim_desktop.bars import Bars
from rim_desktop.trace_view import TraceView, trace_grid
from rim_desktop.words import Shown

_LETTER_SIZE = 2.6
"""Of the letter, in font sizes."""

_ALL = 1000
"""The stretch of what takes all room that is left."""


class AnswerView(QWidget):
    """Shows one answer at a time; what it has none of takes no room."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.letter, self.headline = _label(), _label()
        self.bars, self.text, self.trace = Bars(), QPlainTextEdit(), TraceView()
        self.trace_title, self.facts, self.known = _label(), _label(dim=True), _label(dim=True)
        large = self.letter.font()
        large.setPointSizeF(_LETTER_SIZE * large.pointSizeF())
        large.setBold(True)
        self.letter.setFont(large)
        self.letter.setAccessibleName("Answer")
        self.text.setAccessibleName("Answer in words")
        self.text.setReadOnly(True)
        self.text.setTabChangesFocus(True)
        top = QGridLayout()
        top.addWidget(self.letter, 0, 0)
        top.addWidget(self.headline, 0, 1)
        top.setColumnStretch(1, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(top)
        for widget in (self.bars, self.text, self.trace_title, self.trace, self.facts, self.known):
            layout.addWidget(widget)
        layout.setStretchFactor(self.text, _ALL)
        layout.addStretch(1)
        self.clear()

    def clear(self) -> None:
        """Show nothing."""
        for label in (self.letter, self.headline, self.trace_title, self.facts, self.known):
            _say(label, "")
        self.bars.letters.show({}, {}, "")
        self.bars.hide()
        self.text.clear()
        self.text.hide()
        self.trace.show_grid(None)

    def show_letter(self, shown: Shown) -> None:
        """Show a letter and how sure it is."""
        _say(self.letter, shown.letter)
        _say(self.headline, shown.headline)
        self.bars.letters.show(shown.bars, shown.options, shown.letter)
        self.bars.show()
        _say(self.facts, shown.facts)
        _say(self.known, shown.known)

    def add_text(self, piece: str) -> None:
        """Show the next piece of a text; what is selected stays so, and who reads further up is left there."""
        self.text.show()
        bar = self.text.verticalScrollBar()
        follows = bar.value() == bar.maximum()
        end = QTextCursor(self.text.document())
        end.movePosition(QTextCursor.MoveOperation.End)
        end.insertText(piece)
        if follows:
            bar.setValue(bar.maximum())

    def end_text(self, facts: str) -> None:
        """Show what wrote the text."""
        self.text.show()
        _say(self.facts, facts)

    def show_trace(self, trace: Trace, options: Mapping[str, str]) -> None:
        """Show the answer behind every memory block."""
        grid = trace_grid(trace, options)
        _say(self.trace_title, f"After every memory block: {grid.summary}")
        self.trace.show_grid(grid)

    def words(self) -> str:
        """Return the answer for a screen reader."""
        return " ".join(filter(None, [self.letter.text(), self.headline.text(), self.text.toPlainText()]))


def _label(*, dim: bool = False) -> QLabel:
    """Return a label for a text that may come from anywhere: plain, wrapped, and to be copied."""
    label = QLabel()
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setTextInteractionFlags(
        Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
    )
    if dim:
        label.setForegroundRole(QPalette.ColorRole.PlaceholderText)
    return label


def _say(label: QLabel, text: str) -> None:
    label.setText(text)
    label.setVisible(bool(text))
