"""Saved rows: a line of JSON for each question that was asked, written as the answers come.

A file that was begun goes on: what is in it is not asked again. Each row says of which run it is, so a file holds
the rows of one run alone.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rim_runtime.errors import InputError, TargetExistsError
from rim_runtime.machine.given_file import read_given
from rim_runtime.machine.json_files import parse_json
from rim_runtime.machine.storage import require_writable, storage_errors

from rim_edge.errors import DataError
from rim_edge.evaluation.asking import Row
from rim_edge.evaluation.extraction import Mark
from rim_edge.evaluation.items import Item
from rim_edge.evaluation.reading import Given, Reading, Subject
from rim_edge.evaluation.report.about import About
from rim_edge.evaluation.report.saved_fields import (
    BY_BLOCKS,
    COUNT,
    FLAG,
    LETTERS_BY_BLOCK,
    NUMBER,
    OBJECT,
    SHARES,
    TEXT,
    TEXTS,
    FieldError,
    Kind,
    only,
    read,
    read_or,
)
from rim_edge.evaluation.way import Manner

_FORMAT = 1
"""Grows when older files can no longer be continued."""
_EXPECTED = "rows that 'rim-edge eval --save' wrote"
_MARK = Kind(f"one of {', '.join(Mark)}", lambda value: value in list(Mark))


@dataclass(frozen=True)
class Run:
    """What answers depend on, besides the questions."""

    subject: Subject
    manner: Manner
    budgets: range
    """Numbers of memory blocks."""
    chain: int | None
    """Tokens that written steps may have beside the answers."""
    seed: int
    """Says which question's blocks another one gets."""
    each_block: bool = False
    """Whether each block alone is exchanged for another question's, too."""
    drawn_by: int | None = None
    """The seed that drew the rows; None: all, or the first."""

    @cached_property
    def name(self) -> str:
        """A hash of all of it; a folder may be moved."""
        body = dataclasses.asdict(self) | {"budgets": list(self.budgets), "format": _FORMAT}
        del body["subject"]["path"]
        if not self.each_block:  # files of earlier releases go on
            del body["each_block"]
        if self.drawn_by is None:
            del body["drawn_by"]
        return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def words(self) -> str:
        """The run in words, as in `demo int8, letter, 0..4 blocks, ort-cpu`."""
        subject, manner = self.subject, self.manner
        way = f"{manner.way or 'letter or open'}{' permuted' if manner.permute else ''}"
        blocks = str(self.budgets[-1]) if len(self.budgets) == 1 else f"{self.budgets[0]}..{self.budgets[-1]}"
        asked = f"{way}, {blocks} blocks" if manner.way is None or manner.way.has_blocks else way
        return f"{subject.name} {subject.precision}, {asked}, {subject.engine}"


@dataclass(frozen=True)
class SavedRow:
    """A row of a file."""

    place: str
    """Where its question stood in its file."""
    question_sha256: str
    """Of the question's text."""
    answer: str
    """The right one."""
    run: str
    """The run's hash."""
    words: str
    """The run in words."""
    reading: Reading
    """What was read."""
    question: str = ""
    """The question's text."""
    letters: str | None = None
    """The letters it was answered with, empty for an open answer; None where an earlier release wrote the row."""
    subject: str = ""
    """The field it belongs to; empty where the rows name none."""
    about: About | None = None
    """What the evaluation was of; None where an earlier release wrote the row."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from other rows of its run."""
        return self.place, self.question_sha256, self.answer

    @property
    def is_right(self) -> bool:
        """Whether the answer with the most blocks is the right one."""
        return self.reading.last.answer == self.answer


def question_hash(row: Row) -> str:
    """Return the SHA-256 of a row's question."""
    return hashlib.sha256(row.item.question.encode()).hexdigest()


class SavedRows:
    """The file of one run."""

    def __init__(self, file: Path, run: Run, about: About | None = None) -> None:
        """Look at a file, which may be there already; nothing is altered yet.

        Rows say what the evaluation is `about`, so that they can be reported without asking again. Raises
        TargetExistsError and DataError where it holds anything but this run's rows, and StorageError.
        """
        self._file, self._run, self._about = file, run, None if about is None else about.to_json()
        self._known: dict[tuple[str, str, str], Reading] = {}
        self._whole = 0
        content = read_given(file, "a new file, or one of saved rows", InputError) if file.exists() else b""
        if not content:
            require_writable(file)
            return
        self._whole = content.rfind(b"\n") + 1  # a process that was killed wrote what is behind it
        rows = parse_rows(content[: self._whole], file)
        if not rows or any(row.run != run.name for row in rows):
            held = f"answers of another run ({rows[0].words})" if rows else "something else"
            raise TargetExistsError(
                f"{file} already exists, and holds {held}, expected a new path or a file that this very run "
                "began. Choose another one, or delete it first."
            )
        self._known = {row.key: row.reading for row in rows}

    def restore(self, rows: Sequence[Row]) -> dict[int, Reading]:
        """Return what is in the file of these rows, by their places in the list."""
        keys = enumerate((row.place, question_hash(row), row.item.answer) for row in rows)
        return {place: self._known[key] for place, key in keys if key in self._known}

    def add(self, rows: Sequence[Row], readings: Sequence[Reading]) -> None:
        """Write rows at the file's end, whole lines. Raises StorageError."""
        lines = "".join(self._line(row, reading) for row, reading in zip(rows, readings, strict=True))
        with storage_errors(self._file):
            self._file.parent.mkdir(parents=True, exist_ok=True)
        with storage_errors(self._file), self._file.open("r+b" if self._whole else "wb") as out:
            out.truncate(self._whole)
            out.seek(self._whole)
            out.write(lines.encode())
            out.flush()
            os.fsync(out.fileno())
            self._whole = out.tell()

    def _line(self, row: Row, reading: Reading) -> str:
        body = {
            "row": row.place,
            "question": row.item.question,
            "question_sha256": question_hash(row),
            "answer": row.item.answer,
            "right": reading.last.answer == row.item.answer,
            "given": {str(blocks): _known(given) for blocks, given in reading.by_blocks.items()},
            "shuffled_blocks": reading.shuffled,
            "exchanged_block": None if reading.exchanged is None else dict(reading.exchanged),
            "chain": reading.chain,
            "first_is_letter": reading.first_is_letter,
            "run": self._run.name,
            "scored": self._run.words,
            "letters": row.item.letters,
            "subject": row.subject,
            "about": self._about,
        }
        return json.dumps(body, ensure_ascii=False) + "\n"


def read_rows(file: Path) -> list[SavedRow]:
    """Return the rows of a file, at least one. Raises DataError with file and line."""
    if not (rows := parse_rows(read_given(file, _EXPECTED, DataError), file)):
        raise DataError(f"{file} is empty, expected {_EXPECTED}.")
    return rows


def read_run(file: Path) -> tuple[About, list[SavedRow]]:
    """Return the one run that a file holds, in its rows' order. Raises DataError."""
    rows = read_rows(file)
    if other := next((row for row in rows if row.run != rows[0].run), None):
        raise DataError(f"{file} holds rows of two runs ({rows[0].words}; {other.words}), expected those of one.")
    about = rows[-1].about
    if about is None or any(row.letters is None for row in rows):
        raise DataError(
            f"{file} was written by an earlier release and does not say what was scored, expected rows that do. "
            "Score again, into a new file (--save)."
        )
    return about, sorted(rows, key=lambda row: _natural(row.place))


def row_of(saved: SavedRow) -> Row:
    """Return the row that a saved one answers; it must have letters."""
    return Row(saved.place, Item(saved.question, saved.answer, saved.letters or ""), saved.subject)


def _natural(place: str) -> tuple[str, int]:
    """Return what puts line 10 behind line 9."""
    words, _, number = place.rpartition(" ")
    return (words, int(number)) if number.isdecimal() else (place, 0)


def parse_rows(content: bytes, file: Path) -> list[SavedRow]:
    """Return the rows of a file's content. Raises DataError with file and line."""
    rows: list[SavedRow] = []
    first: dict[str, SavedRow] = {}
    for number, line in enumerate(content.splitlines(), 1):
        try:
            row = _row(parse_json(line.decode("utf-8-sig")))
            _require_like(row, first.setdefault(row.run, row))
            rows.append(row)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            why = f" ({error})" if isinstance(error, FieldError) else ""
            raise DataError(
                f"{file}, line {number}: no row that 'rim-edge eval --save' wrote{why}, expected such rows only."
            ) from None
    return rows


def _require_like(row: SavedRow, first: SavedRow) -> None:
    """Raise FieldError where a row has not the blocks of its run's first one."""
    asked, expected = sorted(row.reading.by_blocks), sorted(first.reading.by_blocks)
    if asked != expected:
        raise FieldError(f"'given' has the blocks {asked}, the row {first.place} has {expected}")
    exchanged = [one.reading.exchanged for one in (row, first)]
    if None not in exchanged and len({tuple(sorted(one or ())) for one in exchanged}) > 1:
        raise FieldError(f"'exchanged_block' has other blocks than the row {first.place}")


def _row(body: Any) -> SavedRow:
    """Return the row that a line is. Raises FieldError, and ValueError, KeyError, TypeError, AttributeError."""
    if not isinstance(body, dict):
        raise FieldError(f"found {type(body).__name__}")
    right, letters = read(body, "answer", TEXT), read_or(body, "letters", TEXT.or_null(), None)
    given = {int(blocks): _given(one) for blocks, one in read(body, "given", BY_BLOCKS).items()}
    for one in given.values():
        if letters and one.probabilities is not None and not {right, one.answer} <= set(one.probabilities):
            raise FieldError("'probabilities' lacks the answer or the right one")
    exchanged = read_or(body, "exchanged_block", LETTERS_BY_BLOCK.or_null(), None)  # earlier releases had none
    about = read_or(body, "about", OBJECT.or_null(), None)
    return SavedRow(
        place=read(body, "row", TEXT),
        question_sha256=read(body, "question_sha256", TEXT),
        answer=right,
        run=read(body, "run", TEXT),
        words=read(body, "scored", TEXT),
        reading=Reading(
            given,
            read(body, "shuffled_blocks", TEXT.or_null()),
            read(body, "chain", TEXT.or_null()),
            read(body, "first_is_letter", FLAG.or_null()),
            None if exchanged is None else {int(block): letter for block, letter in exchanged.items()},
        ),
        question=read_or(body, "question", TEXT, ""),
        letters=letters,
        subject=read_or(body, "subject", TEXT.or_null(), "") or "",
        about=None if about is None else About.from_json(about),
    )


def _known(given: Given) -> dict[str, Any]:
    """Return an answer as a row has it."""
    body = dataclasses.asdict(given)
    body["probabilities"] = None if given.probabilities is None else dict(given.probabilities)
    return body


def _given(body: Mapping[str, Any]) -> Given:
    only(body, *(field.name for field in dataclasses.fields(Given)))
    mark = read(body, "mark", _MARK.or_null())
    return Given(
        answer=read(body, "answer", TEXT),
        probabilities=read(body, "probabilities", SHARES.or_null()),
        text=read(body, "text", TEXT.or_null()),
        mark=None if mark is None else Mark(mark),
        tokens=read(body, "tokens", COUNT),
        cut=read(body, "cut", FLAG),
        first_ms=read(body, "first_ms", NUMBER.or_null()),
        full_ms=read(body, "full_ms", NUMBER.or_null()),
        samples=tuple(read(body, "samples", TEXTS)),
    )
