"""The command line: one file a verb. Only this folder prints and exits.

Answers go to stdout, everything else to stderr. Exit codes: 0 done · 1 failed · 2 bad usage or input ·
3 a check failed · 4 no such engine, device or extra here · 130 interrupted · 143 terminated.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; the one place that turns errors into text and an exit code."""
    from rim_edge.cli.app import app

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without Unicode shows ? instead of failing
    signal.signal(signal.SIGTERM, _stop)
    try:
        app(arguments, prog_name="rim-edge")
    except _rim_error() as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(exit_code(error))
    except OSError as error:  # the answer could not be written, or a file not be read
        if not isinstance(error, BrokenPipeError):  # a closed pipe, as by `| head`, needs no message
            print(f"error: {error}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # buffered text would fail again at exit
        sys.exit(1)


def _stop(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)  # unwinds, so that half-written folders are removed


def exit_code(error: Exception) -> int:
    """Return the exit code of a RimError's branch."""
    from rim_runtime.errors import CheckError, InputError, UnavailableError

    codes = {InputError: 2, CheckError: 3, UnavailableError: 4}
    return next((code for branch, code in codes.items() if isinstance(error, branch)), 1)


def _rim_error() -> type[Exception]:
    # An except clause is evaluated only when there is an error: `--help` need not import the runtime.
    from rim_runtime.errors import RimError

    return RimError
