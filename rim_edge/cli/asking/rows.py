"""Rows of JSON in, answers in JSON out, line by line: how programs in other languages keep one engine open.

Each row is answered, and its answer written, before the next one is read. A row that cannot be answered gets an
error in the place of its answer, and the others go on. docs/rows.md shows both.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from rim_edge.cli.output import error_body, exit_code, note, print_json

if TYPE_CHECKING:
    from rim_runtime.rows.lines import Line

    from rim_edge.cli.asking.answering import Answering


def answer_rows(answering: Answering, rows: IO[bytes]) -> int:
    """Answer rows until they end; return the exit code of the first one that failed.

    Else it is that of answers that were held back if any was, else 0.
    """
    from rim_runtime.errors import RimError
    from rim_runtime.rows.lines import read_lines

    from rim_edge.cli.show.sureness import ABSTAINED

    failed, held_back, told = 0, False, set[str]()
    for line in read_lines(rows):
        given: dict[str, Any] = {}
        try:
            given = _object(line)
            body = _answer(answering, given, told)
            held_back |= body.get("calibrated", {}).get("held_back", False)
            print_json({**_id(given), **body})
        except RimError as error:
            failed = failed or exit_code(error)
            print_json({**_id(given), **error_body(error), "line": line.number})
    return failed or (ABSTAINED if held_back else 0)


def _object(line: Line) -> dict[str, Any]:
    from rim_runtime.errors import RowError

    value = line.value()
    if not isinstance(value, dict):
        raise RowError(f'found {type(value).__name__}, expected an object: {{"question": …, "options": […]}}.')
    return value


def _answer(answering: Answering, given: dict[str, Any], told: set[str]) -> dict[str, Any]:
    """Return a row's answer; a note names each key that nothing reads, once."""
    from rim_runtime.rows.row import read_row

    row = read_row(given)
    if new := [key for key in row.ignored if key not in told]:
        told.update(new)
        note(f"ignored keys: {', '.join(new)}")
    return answering.body(row.question)


def _id(given: dict[str, Any]) -> dict[str, Any]:
    return {"id": given["id"]} if "id" in given else {}
