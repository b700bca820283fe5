"""Where text goes: answers to stdout, notes and progress to stderr, colours only on terminals."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

SCHEMA_VERSION = 1
"""Schema version of everything that `--json` prints."""
_NARROWEST = 12
"""Cells that a line may take on the narrowest terminal."""


def print_json(body: Mapping[str, Any]) -> None:
    """Print one line of JSON with its schema version."""
    print(json.dumps({"schema_version": SCHEMA_VERSION, **body}), flush=True)


def note(text: str) -> None:
    """Print a note for the user, besides the answer, which must not be lost because nobody reads notes."""
    with suppress(OSError):
        print(wrapped(f"note: {text}"), file=sys.stderr, flush=True)


def wrapped(text: str) -> str:
    """Return a line for stderr: on a terminal broken between words, elsewhere whole; no word is ever broken."""
    if not sys.stderr.isatty():
        return text
    from shutil import get_terminal_size
    from textwrap import fill

    width = max(_NARROWEST, get_terminal_size().columns)
    lines = text.split("\n")
    return "\n".join(fill(line, width, break_long_words=False, break_on_hyphens=False) for line in lines)


def error_text(error: BaseException) -> str:
    """Return an error's message and what was noted on it, such as which of many questions it was."""
    from rim_runtime.errors import text_of

    return text_of(error)


def exit_code(error: BaseException) -> int:
    """Return the exit code of a RimError's branch; 1 for any other error."""
    return int(error_body(error)["error"]["code"])


def error_body(error: BaseException) -> dict[str, Any]:
    """Return an error as programs read it: `{"error": {"code", "kind", "message"}}` (`error_to_json`)."""
    from rim_runtime.errors import error_to_json

    return {"error": error_to_json(error)}


def console() -> Console:
    """Return the console for answers; it honours NO_COLOR, and wraps or cuts nothing unless asked to."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True, emoji=False, markup=False)


@contextmanager
def progress_line() -> Iterator[Callable[[str], None]]:
    """Give a function that shows one changing line on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    with ExitStack() as stack:
        shown: list[Any] = []

        def show(text: str) -> None:
            if shown:
                shown[0].update(text)
                return
            from rich.console import Console  # only once there is something to show

            shown.append(stack.enter_context(Console(stderr=True).status(text, spinner="dots")))

        yield show
