"""The question of a command: from its argument, or from a pipe."""

from __future__ import annotations

import sys


def read_question(argument: str | None) -> str:
    """Return the argument; for `-` and nothing, what stands in stdin. Raises QuestionError if it is not UTF-8."""
    from rim_runtime.errors import QuestionError

    if argument not in (None, "-"):
        return str(argument)
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise QuestionError(f"The input is not UTF-8 at byte {error.start:,}. Convert it and try again.") from None
    return text.replace("\r\n", "\n").removesuffix("\n")
