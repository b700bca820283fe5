"""Files of rows: JSON lines, lists in JSON, or text lines, plain or gzipped, with one set of errors.

Lines are read one by one and none is longer than `LONGEST_LINE`, so a damaged or hostile file fills no memory.
"""

from __future__ import annotations

import gzip
import io
import os
import stat
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from rim_runtime.errors import RowError
from rim_runtime.rows.answers import Answers, Counting, counting_of
from rim_runtime.rows.lines import BYTE_ORDER_MARK, Line, parse_row, read_lines
from rim_runtime.rows.row import Row, read_row

LONGEST_LIST = 2**28
"""Bytes of the longest JSON list that is read, unpacked."""
TEXT_LINES = ".txt"
"""The suffix of files whose lines are no JSON."""
_NAMES = (".jsonl", ".json", ".ndjson", TEXT_LINES, "")


@dataclass(frozen=True)
class Record:
    """One row of a file, as a value or as the reason why it has none."""

    place: str
    """Where it stands: `line 3`; `row 3` in a JSON list."""
    value: Any = None
    """What stands there: a JSON value, or a text in a file of text lines."""
    problem: str | None = None
    """Why it cannot be read."""

    @cached_property
    def row(self) -> Row:
        """It as a row, read once. Raises RowError."""
        if self.problem is not None:
            raise RowError(self.problem)
        if isinstance(self.value, str):
            raise RowError('found a text, expected a row in JSON: {"question": …} (.jsonl).')
        return read_row(self.value)

    def text(self) -> str:
        """Return it as a line of text. Raises RowError."""
        if self.problem is not None:
            raise RowError(self.problem)
        return str(self.value)


def suffix_of(path: Path) -> str:
    """Return the suffix that says what a file holds; `.gz` is none."""
    return (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()


def read_records(file: str | Path) -> Iterator[Record]:
    """Give a file's rows in order, without its empty lines. A pipe is read like a file.

    Raises RowError with the file's name where it is not there, is none, is not UTF-8 or is damaged.
    """
    path = _path(file)
    _refuse_what_is_no_file(path)
    number = 0
    try:
        with _opened(path) as content:
            if suffix_of(path) != TEXT_LINES and _starts_a_list(content):
                yield from _of_list(path, content)
                return
            for line in read_lines(content):
                number = line.number
                yield _record(path, line)
    except (OSError, EOFError, zlib.error) as error:
        raise RowError(f"{path}, after line {number}: cannot be read ({error}). Get the file anew.") from None
    if not number:
        raise RowError(f"{path} is empty, expected rows.")


def read_rows(file: str | Path) -> list[tuple[Row, str | None]]:
    """Return a file's rows with their right answers, in order. Raises RowError with file, line and reason.

    An answer is a letter where the question has options, else a text; None where the row has none.
    """
    path = _path(file)
    records = list(read_records(path))
    counting = counting_of_records(path, records)
    rows: list[tuple[Row, str | None]] = []
    for record in records:
        try:
            row = record.row
            rows.append((row, row.answer(counting)))
        except RowError as error:
            raise RowError(f"{path}, {record.place}: {error} Mend or remove the row.") from None
    return rows


def counting_of_records(path: Path, records: Iterable[Record]) -> Counting | None:
    """Return where the numbers that are answers count from. Raises RowError if the file shows both."""
    try:
        return counting_of(_readable(records))
    except RowError as error:
        raise RowError(f"{path}: {error}") from None


def _readable(records: Iterable[Record]) -> Iterator[Answers]:
    for record in records:
        with suppress(RowError):
            yield record.row.answers


def _path(given: str | Path) -> Path:
    if not isinstance(given, str | Path):
        raise RowError(f"The file is a {type(given).__name__}, expected its path.")
    return Path(given)


def _refuse_what_is_no_file(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise RowError(f"There is no file {path}, expected rows (.jsonl, .json or .txt, or with .gz).") from None
    except (OSError, ValueError) as error:  # the latter: a NUL in its name
        raise RowError(f"{str(path)!r} cannot be opened ({error}). Give another file.") from None
    if stat.S_ISDIR(mode):
        raise RowError(f"{path} is a folder, expected a file of rows (.jsonl, .json or .txt, or with .gz).")
    if path.resolve() == Path(os.devnull).resolve():
        raise RowError(f"{path} is empty, expected rows.")
    if stat.S_ISREG(mode) and suffix_of(path) not in _NAMES:
        raise RowError(
            f"{path} is called neither .jsonl, .json nor .txt (nor any with .gz). Convert or rename it."
        )
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
        raise RowError(f"{path} is a device or socket, expected a file of rows or a pipe.")


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file or a pipe, unpacked if it is gzip. Raises RowError for an encoding that is not UTF-8."""
    with ExitStack() as opened:
        content = opened.enter_context(path.open("rb"))
        if content.peek(2).startswith(b"\x1f\x8b"):
            unpacked = opened.enter_context(gzip.GzipFile(fileobj=content))
            content = opened.enter_context(io.BufferedReader(unpacked))
        begin = content.peek(2)[:2]
        if begin in (b"\xff\xfe", b"\xfe\xff") or (len(begin) > 1 and 0 in begin):
            raise RowError(f"{path} is UTF-16 or UTF-32, expected UTF-8. Convert it: iconv -f UTF-16 -t UTF-8.")
        yield content


def _starts_a_list(content: Any) -> bool:
    return bytes(content.peek(64)).removeprefix(BYTE_ORDER_MARK).lstrip().startswith(b"[")


def _of_list(path: Path, content: IO[bytes]) -> Iterator[Record]:
    read = content.read(LONGEST_LIST + 1)
    if len(read) > LONGEST_LIST:
        raise RowError(
            f"{path} is a list of more than {LONGEST_LIST >> 20} MB, expected less. Write it as .jsonl."
        )
    try:
        values = parse_row(_decoded(path, read))
    except RowError as error:
        raise RowError(f"{path}: {error}") from None
    for number, value in enumerate(values, start=1):
        yield Record(f"row {number}", value)


def _record(path: Path, line: Line) -> Record:
    place = f"line {line.number}"
    if line.content is not None:
        _decoded(path, line.content, f", {place}")
    try:
        return Record(place, line.text() if suffix_of(path) == TEXT_LINES else line.value())
    except RowError as error:
        return Record(place, problem=str(error))


def _decoded(path: Path, content: bytes, place: str = "") -> str:
    """Return the content as text. Raises RowError, because more of the file than this place cannot be right."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RowError(f"{path}{place}: not UTF-8 at byte {error.start:,} of it. Convert the file.") from None
