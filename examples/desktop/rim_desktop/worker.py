"""The engine, in a thread of its own: it loads bundles and asks them, one job after another.

All that it has to say it says by signals, which Qt delivers to the window's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PySide6.QtCore import QObject, Signal, Slot
from rim_runtime import Ability, Cancellation, CancelledError, Engine, OnProgress, Question, RimError, abilities

from rim_desktop.words import facts_of_text, shown_answer


class OpenEngine(Protocol):
    """What loads a bundle; `Engine.load` does."""

    def __call__(self, bundle: Path | None, *, progress: OnProgress, cancel: Cancellation) -> Engine:
        """Return an engine; `bundle` None means the one that `rim-edge ask` uses. Raises RimError."""


@dataclass(frozen=True)
class Opened:
    """A bundle that is ready to be asked."""

    place: Path | None
    """Where it lies; None: it is the one that `rim-edge ask` uses."""
    name: str
    """Its name."""
    runs: str
    """The engine that runs it, and its precision."""
    writes_text: bool
    """Whether a question without options is answered in words."""
    notes: tuple[str, ...]
    """What the user should know of it."""


class Worker(QObject):
    """Does what it is told, in the thread it was moved to."""

    progressed = Signal(object)
    """A `Progress` of the load under way."""
    opened = Signal(object)
    """A bundle is loaded: `Opened`."""
    answered = Signal(object)
    """A letter was read: `Shown`."""
    traced = Signal(object, object)
    """A `Trace`, and the question's options."""
    wrote = Signal(str)
    """The next piece of a text."""
    written = Signal(str)
    """A text has ended; what ran."""
    failed = Signal(str)
    """Why there is no result, for people."""
    cancelled = Signal()
    """The job was given up."""
    done = Signal()
    """The job has ended, whatever came of it."""
    closed = Signal()
    """The engine is freed."""

    def __init__(self, open_engine: OpenEngine) -> None:
        super().__init__()
        self._open_engine = open_engine
        self._engine: Engine | None = None

    @Slot(object, object)
    def load(self, place: Path | None, cancel: Cancellation) -> None:
        """Load a bundle; only once that has succeeded is the one before given up."""
        self._try(lambda: self._load(place, cancel))

    @Slot(object, object)
    def ask(self, question: Question, cancel: Cancellation) -> None:
        """Answer a question: by a letter, or without options in words where the bundle writes text."""
        self._try(lambda: self._answer(question, cancel))

    @Slot()
    def close(self) -> None:
        """Free the engine."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None
        self.closed.emit()

    def _try(self, job: Callable[[], None]) -> None:
        try:
            job()
        except CancelledError:
            self.cancelled.emit()
        except RimError as error:
            self.failed.emit(str(error))
        except Exception as error:  # noqa: BLE001 (a thread's end is no place for an error: the window shows it)
            self.failed.emit(f"Something unexpected went wrong ({error!r}). Try again, or open another bundle.")
        self.done.emit()

    def _load(self, place: Path | None, cancel: Cancellation) -> None:
        loaded = self._open_engine(place, progress=self.progressed.emit, cancel=cancel)
        before, self._engine = self._engine, loaded
        if before is not None:
            before.close()
        writes, runs = Ability.TEXT in abilities(loaded.manifest), f"{loaded.name} · {loaded.precision}"
        self.opened.emit(Opened(place, loaded.bundle, runs, writes, loaded.notes))

    def _answer(self, question: Question, cancel: Cancellation) -> None:
        engine = self._engine
        assert engine is not None, "the window asks once a bundle is open"
        able, options = abilities(engine.manifest), question.offered()
        if Ability.TEXT in able and not options:
            self._write(engine, question, cancel)
        else:
            answer = engine.ask(question.text, question.choices, cancel=cancel)
            self.answered.emit(shown_answer(engine, answer, options))
        if Ability.TRACE in able:
            self.traced.emit(engine.trace(question.text, question.choices, cancel=cancel), options)

    def _write(self, engine: Engine, question: Question, cancel: Cancellation) -> None:
        stream = engine.generate(question, cancel=cancel)
        for piece in stream:
            self.wrote.emit(piece)
        self.written.emit(facts_of_text(stream.result()))
