"""A trace as a picture: columns are memory blocks, rows are answers, and a denser cell is more probable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import QSizePolicy, QWidget
from rim_runtime import Trace

from rim_desktop.words import percent

_HEAD = "blocks"
_LEAST_SHOWN = 0.005
_LONGEST_LABEL = 18
"""Average characters of a label; what is longer is cut."""


@dataclass(frozen=True)
class TraceGrid:
    """What is drawn."""

    labels: tuple[str, ...]
    """One a row: letters with their options, or the first tokens that texts would have."""
    shares: tuple[tuple[float | None, ...], ...]
    """One tuple a row: its probability after 0, 1, …, K blocks; None where it is not known."""
    chosen: tuple[int, ...]
    """The row of the answer after 0, 1, …, K blocks."""

    @property
    def words(self) -> str:
        """The same for a screen reader, block by block."""
        return "; ".join(
            f"after {blocks} blocks {self.labels[row]} {percent(self.shares[row][blocks] or 0)}"
            for blocks, row in enumerate(self.chosen)
        )

    @property
    def summary(self) -> str:
        """When the last answer was reached."""
        changed = [k for k in range(1, len(self.chosen)) if self.chosen[k] != self.chosen[k - 1]]
        if not changed:
            return "the same with no block as with all"
        changes = "1 change" if len(changed) == 1 else f"{len(changed)} changes"
        return f"from block {changed[-1]} on, after {changes}"


def trace_grid(trace: Trace, options: Mapping[str, str]) -> TraceGrid:
    """Return a trace as a grid: of letters, or without options of first tokens, where there are some."""
    if not options and trace.first_tokens:
        tokens = [_token(one.text) for one in trace.first_tokens]
        labels = tuple(dict.fromkeys(tokens))
        told = [(token, one.probability) for token, one in zip(tokens, trace.first_tokens, strict=True)]
        shares = tuple(tuple(share if token == label else None for token, share in told) for label in labels)
        return TraceGrid(labels, shares, tuple(labels.index(token) for token in tokens))
    by_block = [answer.probabilities for answer in trace.answers]
    letters = [one for one in by_block[0] if options or max(shares[one] for shares in by_block) >= _LEAST_SHOWN]
    return TraceGrid(
        tuple(f"{letter}   {options.get(letter, '')}".rstrip() for letter in letters),
        tuple(tuple(shares[letter] for shares in by_block) for letter in letters),
        tuple(letters.index(letter) for letter in trace.letters),
    )


class TraceView(QWidget):
    """Draws a grid in the palette's colours, as large as the font asks for."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._grid: TraceGrid | None = None
        self.setAccessibleName("The answer after every memory block")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_grid(self, grid: TraceGrid | None) -> None:
        """Draw this; None draws nothing."""
        self._grid = grid
        self.setAccessibleDescription("" if grid is None else grid.words)
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name, as below)
        """Return the room of all cells."""
        if self._grid is None:
            return QSize(0, 0)
        places = _Places(self._grid, QFontMetricsF(self.font()), 0)
        return QSize(round(places.label + len(self._grid.chosen) * places.least), round(places.bottom + 1))

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return the same: cells that are smaller could not be read."""
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw the numbers of blocks, the labels and the cells."""
        if self._grid is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        places = _Places(self._grid, QFontMetricsF(self.font()), self.width())
        _Drawing(painter, self.palette(), self._grid, places).draw()


class _Places:
    """Where things lie, in device-independent pixels; all of it follows the font."""

    def __init__(self, grid: TraceGrid, metrics: QFontMetricsF, width: float) -> None:
        line = metrics.height()
        widest = max(metrics.horizontalAdvance(label) for label in (*grid.labels, _HEAD))
        self.label = min(widest, _LONGEST_LABEL * metrics.averageCharWidth()) + line
        self.least = metrics.horizontalAdvance("> 99 %") + 0.7 * line
        self.cell = min(1.6 * self.least, max(self.least, (width - self.label) / len(grid.chosen)))
        self.row, self.gap, self.head = 1.7 * line, 0.2 * line, 1.4 * line
        self.bottom = self.head + len(grid.labels) * self.row

    def box(self, row: int, blocks: int) -> QRectF:
        """Return a cell."""
        return QRectF(
            self.label + blocks * self.cell, self.head + row * self.row, self.cell - self.gap, self.row - self.gap
        )


class _Drawing:
    """One painting of a grid."""

    def __init__(self, painter: QPainter, palette: QPalette, grid: TraceGrid, places: _Places) -> None:
        self._painter, self._palette, self._grid, self._places = painter, palette, grid, places

    def draw(self) -> None:
        """Draw all of it."""
        places, painter = self._places, self._painter
        painter.setPen(self._colour(QPalette.ColorRole.PlaceholderText))
        painter.drawText(QRectF(0, 0, places.label, places.head), Qt.AlignmentFlag.AlignVCenter, _HEAD)
        for blocks in range(len(self._grid.chosen)):
            box = places.box(0, blocks)
            head = QRectF(box.left(), 0, box.width(), places.head)
            painter.drawText(head, Qt.AlignmentFlag.AlignCenter, str(blocks))
        for row, label in enumerate(self._grid.labels):
            self._label(row, label)
            for blocks, share in enumerate(self._grid.shares[row]):
                self._cell(row, blocks, share)

    def _label(self, row: int, label: str) -> None:
        painter, places = self._painter, self._places
        font = painter.font()
        font.setBold(row == self._grid.chosen[-1])
        painter.save()
        painter.setFont(font)
        painter.setPen(self._colour(QPalette.ColorRole.WindowText))
        room = QRectF(0, places.box(row, 0).top(), places.label - places.gap, places.row - places.gap)
        text = QFontMetricsF(font).elidedText(label, Qt.TextElideMode.ElideRight, room.width())
        painter.drawText(room, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, text)
        painter.restore()

    def _cell(self, row: int, blocks: int, share: float | None) -> None:
        painter, box = self._painter, self._places.box(row, blocks)
        is_chosen, is_last = self._grid.chosen[blocks] == row, row == self._grid.chosen[-1]
        ink = self._colour(QPalette.ColorRole.WindowText)
        fill = _faded(ink, 0.6 if is_chosen else 0.05 + 0.3 * (share or 0))
        if is_chosen and is_last:
            fill = self._colour(QPalette.ColorRole.Accent)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(fill)
        painter.drawRoundedRect(box, self._places.gap, self._places.gap)
        if share is not None and (is_chosen or share >= _LEAST_SHOWN):
            on_fill = QPalette.ColorRole.HighlightedText if is_last else QPalette.ColorRole.Window
            painter.setPen(self._colour(on_fill if is_chosen else QPalette.ColorRole.WindowText))
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, percent(share))

    def _colour(self, role: QPalette.ColorRole) -> QColor:
        return self._palette.color(role)


def _faded(colour: QColor, opacity: float) -> QColor:
    faded = QColor(colour)
    faded.setAlphaF(opacity)
    return faded


def _token(text: str) -> str:
    """Return a token as it may be shown: line breaks and outer spaces are seen."""
    shown = text.replace("\n", "⏎").replace("\t", "⇥")
    if not shown:
        return "(end)"
    return f"'{shown}'" if shown != shown.strip() else shown
