"""What a program reads under `--json` from a verb that was interrupted, or told to end."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM
"""Exit codes after Ctrl-C and after SIGTERM, as shells have them."""


class PartlyDone(SystemExit):
    """Ends a verb whose result is printed, as far as it came: nothing more is to be told."""


class _Stop(NamedTuple):
    kind: str
    message: str


_STOPS = {
    INTERRUPTED: _Stop("interrupted", "It was interrupted before it was done."),
    TERMINATED: _Stop("terminated", "It was told to end before it was done."),
}


def tell_stop(code: int, cause: BaseException | None, arguments: Sequence[str]) -> None:
    """Tell a program, and nobody else, that a verb ended with such a code; `cause` is how it came to an end.

    Lines of `--jsonl` belong to rows, so nothing follows the last of them.
    """
    stop = _STOPS.get(code)
    if stop is None:
        return
    from rim_runtime.errors import kind_of

    from rim_edge.cli.errors.report import complain, wants_json
    from rim_edge.cli.output import error_text, print_json

    if not wants_json(arguments) or "--jsonl" in arguments:
        return
    kind, message = (kind_of(cause), error_text(cause)) if cause else stop
    complain(message)
    with suppress(OSError, ValueError):  # whoever stopped it may have closed the pipe
        print_json({"error": {"code": code, "kind": kind, "message": message}})
