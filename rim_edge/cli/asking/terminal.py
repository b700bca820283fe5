"""How a question is read from a terminal: with editing and pasting where it can do that, else line by line."""

from __future__ import annotations

import os
import sys
from typing import IO, TYPE_CHECKING, Protocol

from rim_edge.cli.asking.commands import command_of

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

_PROMPT = "› "
_DUMB = ("", "dumb", "unknown")


class Reader(Protocol):
    """Reads one question after another."""

    sending: str
    """How a question is sent, in a sentence."""

    def read(self) -> str | None:
        """Return the next text that is not blank; None once the user leaves."""
        ...


def reader_for(stdin: IO[str], stdout: IO[str]) -> Reader:
    """Return the reader for these streams."""
    capable = os.name == "nt" or os.environ.get("TERM", "").lower() not in _DUMB
    return EditingReader() if capable and stdin.isatty() and stdout.isatty() else LineReader(stdin)


class EditingReader:
    """Edits like a shell; a pasted text comes as a whole, blank lines included."""

    sending = "Type or paste a question; Enter sends it, Alt+Enter or a \\ at the end begins a new line."

    def __init__(self) -> None:
        from prompt_toolkit import PromptSession

        self._session: PromptSession[str] = PromptSession(
            _PROMPT,
            multiline=True,
            key_bindings=_keys(),
            prompt_continuation="  ",
            reserve_space_for_menu=0,
        )

    def read(self) -> str | None:
        """Return the next text; None at Ctrl-D, or at a second Ctrl-C when nothing is typed."""
        interrupted = False
        while True:
            try:
                text = self._session.prompt()
            except EOFError:
                return None
            except KeyboardInterrupt:
                if interrupted:
                    return None
                interrupted = True
                print("Ctrl-C again or Ctrl-D leaves.", file=sys.stderr)
                continue
            interrupted = False
            if text.strip():
                return text


def _keys() -> KeyBindings:
    from prompt_toolkit.key_binding import KeyBindings
    from prompt_toolkit.keys import Keys

    keys = KeyBindings()

    @keys.add(Keys.BracketedPaste)
    def _paste(event: KeyPressEvent) -> None:
        text = event.data.replace("\r\n", "\n").replace("\r", "\n")
        event.current_buffer.insert_text(text.rstrip("\n"))

    @keys.add("enter")
    def _send(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.current_line_before_cursor.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.newline(copy_margin=False)
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _new_line(event: KeyPressEvent) -> None:
        event.current_buffer.newline(copy_margin=False)

    @keys.add("c-c")
    @keys.add("<sigint>")
    def _drop(event: KeyPressEvent) -> None:
        reading = event.app.future  # a second one may come when its question has ended
        if event.current_buffer.text:
            event.current_buffer.reset()
        elif reading is not None and not reading.done():
            event.app.exit(exception=KeyboardInterrupt())

    return keys


class LineReader:
    """Reads lines; an empty one sends them."""

    sending = "Type a question; an empty line sends it."

    def __init__(self, stdin: IO[str]) -> None:
        self._stdin = stdin

    def read(self) -> str | None:
        """Return the lines up to an empty one, or one line that is a command; None at the end of the input."""
        lines: list[str] = []
        while True:
            print("  " if lines else _PROMPT, end="", file=sys.stderr, flush=True)
            try:
                line = self._stdin.readline()
            except KeyboardInterrupt:
                print(file=sys.stderr)
                if not lines:
                    return None
                lines.clear()
                continue
            text = line.rstrip("\r\n")
            if not line:
                print(file=sys.stderr)
                return "\n".join(lines) or None
            if not lines and command_of(text):
                return text
            if text.strip():
                lines.append(text)
            elif lines:
                return "\n".join(lines)
