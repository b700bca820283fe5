"""Files of training data, read whole and checked row by row. What rows may look like: docs/rows.md."""

from __future__ import annotations

from dataclasses import dataclass

from rim_runtime.errors import RowError
from rim_runtime.rows.answers import Counting
from rim_runtime.rows.files import TEXT_LINES, Record, counting_of_records, read_records, suffix_of

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
    ignored: tuple[str, ...] = ()
    """Keys of its rows that hold something, and that nothing reads and no known form has."""
    places: tuple[str, ...] = ()
    """Where each of its good rows stands, such as `line 3`."""


def read_file(file: DataFile, bad_rows: BadRows = BadRows.REFUSE) -> ReadFile:
    """Read a file. Raises DataError with file, line and reason."""
    try:
        records = list(read_records(file.path))
        counting = counting_of_records(file.path, records)
    except RowError as error:
        raise DataError(str(error)) from None
    examples: list[Example] = []
    places: list[str] = []
    reasons: list[str] = []
    ignored: dict[str, None] = {}
    for record in records:
        try:
            examples.append(_example(record, counting, file, ignored))
            places.append(record.place)
        except RowError as error:
            reason = f"{file.path}, {record.place}: {error}"
            if bad_rows is BadRows.REFUSE:
                raise DataError(f"{reason} Mend or remove the row, or pass --skip-bad.") from None
            reasons.append(reason)
    if not examples:
        because = f" The first of {len(reasons)} bad ones: {reasons[0]}" if reasons else ""
        raise DataError(f"{file.path} has no rows that can be used, expected some.{because}")
    first_bad = reasons[0] if reasons else None
    return ReadFile(file, tuple(examples), len(reasons), first_bad, tuple(ignored), tuple(places))


def _example(record: Record, counting: Counting | None, file: DataFile, ignored: dict[str, None]) -> Example:
    """Return a record's example, and add the keys that nothing reads to `ignored`."""
    if suffix_of(file.path) == TEXT_LINES:
        return example_of_line(record.text(), file.steps)
    row = record.row
    ignored.update(dict.fromkeys(row.ignored))
    return example_of_row(row, counting, file.steps)
