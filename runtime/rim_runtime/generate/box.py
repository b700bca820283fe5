r"""Where the box of an answer prefix, such as `The final answer is \boxed{`, is closed again."""

from __future__ import annotations


class AnswerBox:
    r"""Looks for the brace that closes what a prefix left open, in a text that comes in pieces.

    Braces may be nested; escaped ones, as LaTeX writes them (`\{`), do not count. A prefix that leaves none open
    has no box.
    """

    def __init__(self, prefix: str) -> None:
        self._depth, self._escaped = 0, False
        for sign in prefix:
            self._read(sign)
        self._boxed = self._depth > 0
        self.closed = False
        """Whether that brace has come: then the text has ended before it."""

    def pass_on(self, piece: str) -> str:
        """Return what of a piece is inside the box; all of it where there is none."""
        if not self._boxed:
            return piece
        for place, sign in enumerate(piece):
            self._read(sign)
            if not self._depth:
                self.closed = True
                return piece[:place]
        return piece

    def _read(self, sign: str) -> None:
        if self._escaped or sign == "\\":
            self._escaped = not self._escaped
        elif sign == "{":
            self._depth += 1
        elif sign == "}":
            self._depth = max(0, self._depth - 1)
