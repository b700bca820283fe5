"""The standard streams, which may be missing, closed, full, or unable to show every character."""

from __future__ import annotations

import codecs
import io
import os
import sys
from contextlib import suppress
from pathlib import Path

_PLAINER = "rim_edge.plainer"
_SIGNS = {"·": "-", "…": "...", "×": "x", "–": "-", "→": "->", "›": ">", "█": "#", "━": "-", "●": "*", "≥": ">="}
"""What our own texts hold beyond ASCII, in ASCII."""


def open_missing_streams() -> io.StringIO:
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


def show_all_characters() -> None:
    """Let a terminal without Unicode show plainer signs, or a question mark, instead of failing."""
    codecs.register_error(_PLAINER, _plainer)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_PLAINER)


def _plainer(error: UnicodeError) -> tuple[str, int]:
    """Return what is shown instead of the characters that cannot be, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_SIGNS.get(sign, "?") for sign in error.object[error.start : error.end]), error.end


def drop_unwritten() -> None:
    """Let what is still buffered for stdout go nowhere: it would fail again at exit."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
