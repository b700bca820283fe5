"""A conversation on a terminal: a question, its answer, the next question."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from rim_edge.cli.asking.commands import Command, command_of
from rim_edge.cli.output import error_text, wrapped

if TYPE_CHECKING:
    from rim_runtime.question import Question

    from rim_edge.cli.asking.terminal import Reader

_HELP = """\
{sending}
Options go on lines of their own below the question, A: …, B: …; without any, all ten
letters are considered, or the answer is in words, if the bundle writes text.
Ctrl-C drops what you typed, or stops an answer. /help shows this; /quit, Ctrl-D, or Ctrl-C twice leaves."""


def converse(answer: Callable[[Question], None], reader: Reader) -> None:
    """Answer questions until the user leaves; `answer` prints what it answers."""
    _say(f"{reader.sending} /help helps, Ctrl-D leaves.")
    while (text := reader.read()) is not None:
        match command_of(text):
            case None:
                _answer(text, answer)
            case Command.HELP:
                _say(_HELP.format(sending=reader.sending))
            case Command.UNKNOWN:
                _say(f"There is no {text.split()[0]}; /help says what there is. To ask it, put a space before it.")
            case Command.LEAVE:
                return


def _answer(text: str, answer: Callable[[Question], None]) -> None:
    from contextlib import suppress

    from rim_runtime.errors import InputError
    from rim_runtime.question import Question

    from rim_edge.cli.show.sureness import Abstained

    try:
        with suppress(Abstained):  # it was said; the next question may be answered
            answer(Question(text))
    except InputError as error:
        _say(f"error: {error_text(error)}")
    except KeyboardInterrupt:
        _say("\nstopped; Ctrl-D leaves")


def _say(text: str) -> None:
    print(wrapped(text), file=sys.stderr, flush=True)
