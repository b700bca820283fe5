"""What a line of a conversation says that is no question."""

from __future__ import annotations

import re
from enum import Enum


class Command(Enum):
    """Something to do instead of asking."""

    HELP = "help"
    LEAVE = "leave"
    UNKNOWN = "unknown"


_COMMANDS = {
    "/help": Command.HELP,
    "/?": Command.HELP,
    "help": Command.HELP,
    "/quit": Command.LEAVE,
    "/exit": Command.LEAVE,
    "quit": Command.LEAVE,
    "exit": Command.LEAVE,
}


def command_of(text: str) -> Command | None:
    """Return the command that a text is; None for a question, also for any text that begins with a space."""
    word = text.rstrip().lower()
    unknown = Command.UNKNOWN if re.match(r"/[a-z]+(\s|$)", word) else None
    return _COMMANDS.get(word, unknown)
