"""From an exception to what the user reads, what a program reads under `--json`, and the exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import typer

from rim_edge.cli.output import error_body, error_text, exit_code, print_json, wrapped

_HERE = Path(__file__).parents[1]
"""The command line, which alone prints."""


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether a program reads stdout; asked of the words themselves, because they may be wrong."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in options or "--jsonl" in options


def fail(error: Exception, *, as_json: bool) -> int:
    """Tell an error, on stderr and for programs on stdout, and return the exit code."""
    from rim_runtime.errors import RimError

    if isinstance(error, typer.TyperException):
        from rim_edge.cli.errors.usage import usage_error

        if not error.format_message():  # help was asked for by giving nothing, and is printed
            return error.exit_code
        error = usage_error(error)
    if isinstance(error, BrokenPipeError):  # `| head` needs no message
        return 1
    if isinstance(error, OSError) and not isinstance(error, RimError) and _is_of_stdout(error):
        message = (
            f"Standard output cannot be written ({error.strerror}), so what was printed is not whole. Free some "
            "space, or send it elsewhere."
        )
        return _tell(error, message, as_json)
    if isinstance(error, RimError | OSError):
        return _tell(error, error_text(error), as_json)
    if sys.flags.dev_mode:
        raise error
    message = (
        f"{type(error).__name__}: {error_text(error) or 'without a word'} ({_place(error)}). Nobody foresaw this "
        "one: rim-edge or a library below it is at fault. All of it shows with: python -X dev -m rim_edge …"
    )
    return _tell(error, message, as_json)


def _is_of_stdout(error: OSError) -> bool:
    """Whether an error came from printing: it is about no named file, and was raised where alone we print."""
    place = _innermost(error)
    if error.filename is not None or place is None:
        return False
    file = Path(place.tb_frame.f_code.co_filename)
    return file.is_relative_to(_HERE) or file.parent.name == "rich"


def complain(message: str) -> None:
    """Print an error's text; nobody may read it any more, and the exit code still tells."""
    with suppress(OSError, ValueError):
        print(wrapped(f"error: {message}"), file=sys.stderr, flush=True)


def _tell(error: Exception, message: str, as_json: bool) -> int:
    complain(message)
    if as_json:
        body = error_body(error)["error"]
        with suppress(OSError, ValueError):  # stdout may be what failed
            print_json({"error": body | {"message": message}})
    return exit_code(error)


def _innermost(error: BaseException) -> TracebackType | None:
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return trace


def _place(error: BaseException) -> str:
    """Return file and line where an error was raised."""
    trace = _innermost(error)
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else "nowhere"
