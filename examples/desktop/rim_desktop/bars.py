"""The offered letters as a list: a model of letters with their shares, and a delegate that draws the bars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPalette
from PySide6.QtWidgets import QListView, QSizePolicy, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from rim_desktop.words import percent

Index = QModelIndex | QPersistentModelIndex
ROW = Qt.ItemDataRole.UserRole
"""The role under which a row's `LetterRow` is found."""
_TOP = QModelIndex()


@dataclass(frozen=True)
class LetterRow:
    """One offered letter."""

    letter: str
    """The letter."""
    option: str
    """The option behind it; empty for an open question."""
    share: float
    """Its probability, 0 to 1."""
    is_best: bool
    """Whether it is the answer; none is where no answer is clear."""


class LetterModel(QAbstractListModel):
    """The offered letters in their order; a screen reader is told all of a row."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: tuple[LetterRow, ...] = ()

    def show(self, bars: Mapping[str, float], options: Mapping[str, str], best: str) -> None:
        """Show these letters; none empties the list."""
        self.beginResetModel()
        self._rows = tuple(
            LetterRow(letter, options.get(letter, ""), share, letter == best) for letter, share in bars.items()
        )
        self.endResetModel()

    def rowCount(self, parent: Index = _TOP) -> int:  # noqa: N802 (Qt's name, as below)
        """Return how many letters there are."""
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Return a row as text, for a screen reader, as a tooltip, or itself."""
        if not index.isValid():
            return None
        row = self._rows[index.row()]
        if role == ROW:
            return row
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return ", ".join(filter(None, [row.letter, row.option, percent(row.share)]))
        if role == Qt.ItemDataRole.DisplayRole:
            return f"{row.letter}   {row.option}".rstrip()
        return row.option or None if role == Qt.ItemDataRole.ToolTipRole else None


class BarDelegate(QStyledItemDelegate):
    """Draws a row: letter, option and percentage, and a bar below them."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:  # noqa: N802
        """Return the room of a line of text and its bar."""
        line = option.fontMetrics.height()
        return QSize(12 * line, round(2.1 * line))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Draw one row in the palette's colours."""
        row: LetterRow = index.data(ROW)
        line, room = option.fontMetrics.height(), QRectF(option.rect).adjusted(2, 0, -2, 0)
        font = option.font
        font.setBold(row.is_best)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(font)
        painter.setPen(option.palette.color(QPalette.ColorRole.Text))
        words = QRectF(room.left(), room.top() + 0.2 * line, room.width(), line)
        share, metrics = percent(row.share), painter.fontMetrics()
        left = words.adjusted(0, 0, -metrics.horizontalAdvance(f"  {share}"), 0)
        text = metrics.elidedText(str(index.data()), Qt.TextElideMode.ElideRight, int(left.width()))
        painter.drawText(left, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, text)
        painter.drawText(words, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, share)
        bar = QRectF(room.left(), words.bottom() + 0.2 * line, room.width(), 0.4 * line)
        _draw_bar(painter, option.palette, bar, row)
        painter.restore()
        if option.state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(option.palette.color(QPalette.ColorRole.Accent))
            painter.drawRect(option.rect.adjusted(0, 0, -1, -1))


class Bars(QListView):
    """The list, as high as its rows: what is around it scrolls."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.letters = LetterModel(self)
        self.setModel(self.letters)
        self.setItemDelegate(BarDelegate(self))
        self.setAccessibleName("Probabilities of the offered letters")
        self.setFrameShape(QListView.Shape.NoFrame)
        self.setSelectionMode(QListView.SelectionMode.NoSelection)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setTabKeyNavigation(False)
        self.viewport().setAutoFillBackground(False)
        self.letters.modelReset.connect(self.updateGeometry)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return the room of all rows."""
        height = sum(self.sizeHintForRow(row) for row in range(self.letters.rowCount()))
        return QSize(super().sizeHint().width(), height)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return the same: it does not scroll."""
        return QSize(0, self.sizeHint().height())


def _draw_bar(painter: QPainter, palette: QPalette, room: QRectF, row: LetterRow) -> None:
    round_by = room.height() / 2
    colour = palette.color(QPalette.ColorRole.Text)
    colour.setAlphaF(0.12)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    painter.drawRoundedRect(room, round_by, round_by)
    filled = QRectF(room.left(), room.top(), max(room.height(), room.width() * row.share), room.height())
    if row.is_best:
        colour = palette.color(QPalette.ColorRole.Accent)
    else:
        colour.setAlphaF(0.45)
    painter.setBrush(colour)
    painter.drawRoundedRect(filled, round_by, round_by)
