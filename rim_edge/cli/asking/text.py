"""One question as text: an argument, or all of stdin."""

from __future__ import annotations

import sys


def read_question(argument: str | None) -> str:
    """Return the argument; for `-` or none, the text on stdin.

    Raises QuestionError where stdin is not UTF-8, or holds JSON objects (as an argument one is asked as it is).
    """
    from rim_runtime.errors import QuestionError

    if argument not in (None, "-"):
        return str(argument)
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise QuestionError(f"The input is not UTF-8 at byte {error.start:,}. Convert it and try again.") from None
    text = text.replace("\r\n", "\n").removesuffix("\n")
    if _is_json(text):
        raise QuestionError(
            "The input is JSON, expected the text of one question. For rows of JSON, one a line: rim-edge ask "
            "--jsonl. To ask this very text, give it as an argument."
        )
    return text


def _is_json(text: str) -> bool:
    """Whether a text is a JSON object or a list of some, or begins with a line that is one."""
    from rim_runtime.errors import RowError
    from rim_runtime.rows.lines import parse_row

    stripped = text.strip()
    if not stripped.startswith(("{", "[")):
        return False
    for candidate in (stripped, stripped.partition("\n")[0]):
        try:
            value = parse_row(candidate)
        except RowError:
            continue
        return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(row, dict) for row in value))
    return False
