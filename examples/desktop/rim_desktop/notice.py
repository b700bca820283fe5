"""A line or two that must be seen: an error, or a note. It is drawn in a tint that shows on light and on dark."""

from __future__ import annotations

from enum import Enum

from PySide6.QtCore import Qt
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent, QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QLabel, QWidget

_MARGIN = 8


class Kind(Enum):
    """What it is, and its tint."""

    ERROR = QColor(214, 48, 49, 60)
    NOTE = QColor(128, 128, 128, 50)


class Notice(QLabel):
    """Says a plain text, also to a screen reader, and takes no room while there is none."""

    def __init__(self, kind: Kind, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._kind = kind
        self.setAccessibleName(kind.name.capitalize())
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(True)
        self.setContentsMargins(_MARGIN, _MARGIN, _MARGIN, _MARGIN)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.hide()

    def say(self, text: str) -> None:
        """Show a text; an empty one hides it."""
        self.setText(text)
        self.setAccessibleDescription(text)
        self.setVisible(bool(text))
        if text:
            announce(self, text)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 (Qt's name)
        """Draw the tint below the text."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._kind.value)
        painter.drawRoundedRect(self.rect(), _MARGIN / 2, _MARGIN / 2)
        painter.end()
        super().paintEvent(event)


def announce(widget: QWidget, text: str) -> None:
    """Tell a screen reader what a sighted person sees appear."""
    QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(widget, text))
