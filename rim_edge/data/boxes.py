r"""The box of an answer, `\boxed{…}`: where its text ends, and the form in which two answers are compared."""

from __future__ import annotations

import re
from decimal import Decimal

_NUMBER = re.compile(r"(?=[+-]?\.?\d)[+-]?(\d{1,3}(,\d{3})+|\d*)(\.\d*)?([eE][+-]?\d{1,3})?", re.ASCII)
"""Commas are read between thousands only: "1,5" may be a decimal comma, so it stays text."""


def boxed_text(text: str) -> str:
    r"""Return the text before the brace that closes the box; all of it where none does.

    Braces inside come in pairs, as in `\frac{1}{2}`; escaped ones (`\{`) are text, as in LaTeX.
    """
    depth, escaped = 0, False
    for place, sign in enumerate(text):
        if escaped or sign == "\\":
            escaped = not escaped
        elif sign == "{":
            depth += 1
        elif sign == "}":
            if depth == 0:
                return text[:place]
            depth -= 1
    return text


def fits_box(answer: str) -> bool:
    """Whether an answer can be read back out of its box: its braces come in pairs."""
    return boxed_text(answer + "}") == answer


def canonical(text: str) -> str:
    """Return an answer in the form that is compared: white space and numbers normalized, numbers exactly."""
    plain = " ".join(text.split()).removeprefix("$")
    return _digits(Decimal(plain.replace(",", ""))) if _NUMBER.fullmatch(plain) else plain


def _digits(number: Decimal) -> str:
    """Return a number without an exponent and without zeros that say nothing."""
    written = format(number, "f")
    if "." in written:
        written = written.rstrip("0").rstrip(".")
    return "0" if number == 0 else written.removeprefix("+")
