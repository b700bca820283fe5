"""Files of training data: `.jsonl` rows or `.txt` lines, plain or `.gz`, read whole and checked row by row."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rim_edge.data.rows import Example, example_of_line, example_of_row
from rim_edge.errors import DataError
from rim_edge.recipe.inputs import BadRows, DataFile


@dataclass(frozen=True)
class ReadFile:
    """What was read from a file."""

    file: DataFile
    """The file."""
    examples: tuple[Example, ...]
    """Its good rows, in order."""
    skipped: int = 0
    """Bad rows, left out."""
    first_bad: str | None = None
    """Why the first of them is bad."""


def read_file(file: DataFile, bad_rows: BadRows = BadRows.REFUSE) -> ReadFile:
    """Read a file. Raises DataError with file, line and reason."""
    examples: list[Example] = []
    reasons: list[str] = []
    for number, line in _lines(file.path):
        try:
            examples.append(_example(line, file))
        except DataError as error:
            reason = f"{file.path}, line {number}: {error}"
            if bad_rows is BadRows.REFUSE:
                raise DataError(f"{reason} Mend or remove the line, or pass --skip-bad.") from None
            reasons.append(reason)
    if not examples:
        because = f" The first of {len(reasons)} bad ones: {reasons[0]}" if reasons else ""
        raise DataError(f"{file.path} has no rows that can be used, expected some.{because}")
    return ReadFile(file, tuple(examples), len(reasons), reasons[0] if reasons else None)


def _example(line: str, file: DataFile) -> Example:
    if _kind(file.path) == ".txt":
        return example_of_line(line, file.steps)
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:  # the latter: nested too deeply for Python's reader
        raise DataError(f"no JSON ({error}).") from None
    return example_of_row(row, file.steps)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Give the lines that are not empty, with their numbers."""
    if not path.is_file():
        raise DataError(f"There is no file {path}, expected rows or lines (.jsonl or .txt, or with .gz).")
    if _kind(path) not in (".jsonl", ".txt"):
        raise DataError(f"{path} is called neither .jsonl nor .txt (nor either with .gz). Convert or rename it.")
    opener = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opener(path, "rt", encoding="utf-8-sig") as lines:  # some editors begin a file with a byte order mark
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise DataError(f"{path}, after line {number}: cannot be read ({error}). Get the file anew.") from None


def _kind(path: Path) -> str:
    return (path.with_suffix("") if path.suffix == ".gz" else path).suffix
