"""The command line: one file a verb. Only this folder prints and exits.

Answers go to stdout, everything else to stderr. Exit codes: 0 done · 1 failed · 2 bad usage or input ·
3 a check failed · 4 no such engine, device or extra here · 130 interrupted · 143 terminated.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Sequence
from typing import NoReturn

from rim_edge.cli.errors.stopped import INTERRUPTED, PartlyDone, tell_stop
from rim_edge.cli.errors.streams import drop_unwritten, open_missing_streams, show_all_characters


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; the one place that turns errors into text and an exit code."""
    try:
        unread = open_missing_streams()
        code = _run(sys.argv[1:] if arguments is None else list(arguments))
        if unread.getvalue() and not code:
            from rim_edge.cli.errors.report import complain

            complain("Standard output is closed, so what was printed is lost. Redirect it to a file.")
            code = 1
    except KeyboardInterrupt:  # a second one, or one so early that no verb has begun
        code = INTERRUPTED
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    """Run a verb and return the exit code; what it raises is told."""
    cause: BaseException | None = None
    try:
        code = _start(arguments)
        sys.stdout.flush()  # its last words may be what cannot be written
    except PartlyDone as ended:
        return int(ended.code or 0)
    except SystemExit as stopped:  # a verb that was told to end
        code = stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
        cause = stopped.__cause__
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:  # noqa: BLE001 (libraries raise what they like; nobody is to see a traceback)
        return _failed(error, arguments)
    tell_stop(code, cause, arguments)
    return code


def _start(arguments: list[str]) -> int:
    from rim_edge.cli.app import app

    show_all_characters()
    if threading.current_thread() is threading.main_thread():  # nobody else may
        signal.signal(signal.SIGTERM, _stop)
    called = tuple(arguments)
    return int(app(arguments, prog_name="rim-edge", standalone_mode=False, obj=called) or 0)


def _failed(error: Exception, arguments: list[str]) -> int:
    from rim_edge.cli.errors.report import fail, wants_json

    code = fail(error, as_json=wants_json(arguments))
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        drop_unwritten()
    return code


def _stop(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)  # unwinds, so that half-written folders are removed
