"""Where questions come from: an argument, a pipe, or a terminal, one after another."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from rim_edge.cli.output import error_text

if TYPE_CHECKING:
    from rim_runtime.answer import Answer
    from rim_runtime.engine import Engine
    from rim_runtime.question import Question


def read_question(argument: str | None) -> str:
    """Return the argument; for `-` or none, the text on stdin. Raises QuestionError if it is not UTF-8."""
    from rim_runtime.errors import QuestionError

    if argument not in (None, "-"):
        return str(argument)
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise QuestionError(f"The input is not UTF-8 at byte {error.start:,}. Convert it and try again.") from None
    return text.replace("\r\n", "\n").removesuffix("\n")


def converse(engine: Engine, blocks: int | None, show: Callable[[Question, Answer], None]) -> None:
    """Answer until the input ends (Ctrl-D) or is interrupted (Ctrl-C)."""
    from rim_runtime.errors import InputError
    from rim_runtime.question import Question

    print("Ask a question; an empty line sends it. Options go on lines of their own: A: …", file=sys.stderr)
    print("Ctrl-D leaves.", file=sys.stderr)
    while (question := _read()) is not None:
        try:
            show(Question(question), engine.ask(question, blocks=blocks))
        except InputError as error:
            print(f"error: {error_text(error)}", file=sys.stderr)


def _read() -> str | None:
    """Return the next question, or None at the end of the input."""
    lines: list[str] = []
    while True:
        try:
            line = _line("  " if lines else "\n› ")
        except EOFError:
            print(file=sys.stderr)
            return "\n".join(lines) or None
        if line.strip():
            lines.append(line)
        elif lines:
            return "\n".join(lines)


def _line(prompt: str) -> str:
    """Read a line, with editing where answers go to the terminal too. Raises EOFError at the end."""
    if sys.stdout.isatty():
        with contextlib.suppress(ImportError):  # Windows has none
            import readline  # noqa: F401 (gives input() line editing and history)
        return input(prompt)
    print(prompt, end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\n")
