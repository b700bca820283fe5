"""The command line: one file a verb. Only this folder prints and exits.

Answers go to stdout, everything else to stderr. Exit codes: 0 done · 1 failed · 2 bad usage or input ·
3 a check failed · 4 no such engine, device or extra here · 130 interrupted · 143 terminated.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from rim_edge.cli.output import error_text, exit_code

INTERRUPTED = 128 + signal.SIGINT
"""Exit code after Ctrl-C, as shells have it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; the one place that turns errors into text and an exit code."""
    try:
        unread = _open_missing_streams()
        code = _run(arguments)
        if unread.getvalue() and not code:
            code = _fail("Standard output is closed, so what was printed is lost. Redirect it to a file.")
    except KeyboardInterrupt:  # a second one, or one so early that no verb has begun
        code = INTERRUPTED
    sys.exit(code)


def _run(arguments: Sequence[str] | None) -> int:
    """Run a verb and return the exit code; what it raises is told on stderr."""
    try:
        _start(arguments)
    except SystemExit as stopped:  # how typer ends, always
        return _flushed(stopped.code)
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:  # the answer could not be written, or a file not be read
        return _os_error(error)
    except Exception as error:  # noqa: BLE001 (libraries raise what they like; nobody is to see a traceback)
        return _error(error)
    return 0


def _start(arguments: Sequence[str] | None) -> None:
    from rim_edge.cli.app import app

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without Unicode shows ? instead of failing
    if threading.current_thread() is threading.main_thread():  # nobody else may
        signal.signal(signal.SIGTERM, _stop)
    app(arguments, prog_name="rim-edge")


def _error(error: Exception) -> int:
    from rim_runtime.errors import RimError

    if isinstance(error, RimError):
        return _fail(error_text(error), exit_code(error))
    if sys.flags.dev_mode:
        raise error
    return _fail(
        f"{type(error).__name__}: {error_text(error) or 'without a word'} ({_place(error)}). Nobody foresaw this "
        "one: rim-edge or a library below it is at fault. All of it shows with: python -X dev -m rim_edge …"
    )


def _os_error(error: OSError) -> int:
    from rim_runtime.errors import RimError

    if isinstance(error, RimError):  # some are both
        return _error(error)
    code = 1 if isinstance(error, BrokenPipeError) else _fail(error_text(error))  # `| head` needs no message
    _drop_unwritten()
    return code


def _place(error: BaseException) -> str:
    """Return file and line where an error was raised."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else "nowhere"


def _fail(message: str, code: int = 1) -> int:
    with suppress(OSError, ValueError):  # nobody reads stderr any more; the exit code still tells
        print(f"error: {message}", file=sys.stderr, flush=True)
    return code


def _flushed(code: object) -> int:
    """Return a verb's exit code; 1 where its last words cannot be written."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        if isinstance(error, OSError):
            return _os_error(error)
    return code if isinstance(code, int) else int(code is not None)


def _drop_unwritten() -> None:
    """Let what is still buffered for stdout go nowhere: it would fail again at exit."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_missing_streams() -> io.StringIO:
    """Put something in the place of standard streams that are None, as services and windowed programs have them.

    Nothing can be read from such an input, and nobody sees such a stderr. Returns what stands for a missing
    stdout, empty where there is one. The numbers 0 to 2 are taken, so that no file is opened under one of them and
    gets what libraries print.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    unread = io.StringIO()
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BytesIO())
    if sys.stdout is None:
        sys.stdout = unread
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (open until the process ends)
    return unread


def _stop(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)  # unwinds, so that half-written folders are removed
