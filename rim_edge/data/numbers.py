r"""Numbers as answers write them, read exactly: no floats, so integers of any length stay what they are."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

_PLAIN = re.compile(r"(?=[+-]?\.?\d)[+-]?(\d{1,3}(,\d{3})+|\d*)(\.\d*)?([eE][+-]?\d{1,3})?", re.ASCII)
"""Commas are read between thousands only: "1,5" may be a decimal comma, so it stays text."""
_FRACTION = re.compile(r"([+-]?)(?:(\d+) +)?([+-]?\d+) ?/ ?([+-]?\d+)", re.ASCII)
"""`3/4`, and `1 3/4`, which is more than one."""
_LATEX_FRACTION = re.compile(r"\\frac *(?:\{ *([+-]?\d+) *\}|(\d)) *(?:\{ *([+-]?\d+) *\}|(\d))", re.ASCII)
r"""`\frac{3}{4}`, and `\frac34` for single digits."""
_IN_TEXT = re.compile(
    r"""(?<![\w.,/)\]}]) [-+]? \$? [-+]?           # a sign behind a number or a word is none of this number's
        (?: \d+ (?:,\d+)* (?:\.\d+)? (?:[eE][-+]?\d{1,3}(?!\w))? (?: \s?/\s? \d+ | \\frac\S* )?
          | \.\d+ | \\frac \s* (?:\{[^{}]*\}|\d) \s* (?:\{[^{}]*\}|\d) )""",
    re.VERBOSE | re.ASCII,
)
_LONGEST = 1_000
"""Digits of a fraction's parts; one that is longer stays text. Other numbers have no limit."""


def exact_number(text: str) -> str | None:
    r"""Return a number in its one form: `2125` for `2,125.0`, `0.5` for `1/2`, `2/3` for `\frac{4}{6}`.

    None for all that is no number alone.
    """
    if _PLAIN.fullmatch(text):
        return _digits(Decimal(text.replace(",", "")))
    found = _FRACTION.fullmatch(_LATEX_FRACTION.sub(_slashed, text).strip())
    if found is None or max(map(len, found.groups(""))) > _LONGEST or int(found[4]) == 0:
        return None
    whole, part = int(found[2] or 0), Fraction(int(found[3]), int(found[4]))
    return _written(-(whole + part) if found[1] == "-" else whole + part)


def without_thousands(text: str) -> str:
    """Return a number without the commas between its thousands; anything else as it is."""
    return text.replace(",", "") if _PLAIN.fullmatch(text) else text


def last_number(text: str) -> str | None:
    """Return the last number that stands in a text, as it is written there; None if there is none."""
    found = list(_IN_TEXT.finditer(text))
    return found[-1][0] if found else None


def _slashed(found: re.Match[str]) -> str:
    """Return a LaTeX fraction as `a/b`, apart from a whole number before it."""
    before = found.string[: found.start()]
    gap = " " if before[-1:].isdigit() else ""
    return f"{gap}{found[1] or found[2]}/{found[3] or found[4]}"


def _digits(number: Decimal) -> str:
    """Return a number without an exponent and without zeros that say nothing."""
    written = format(number, "f")
    if "." in written:
        written = written.rstrip("0").rstrip(".")
    return "0" if number == 0 else written.removeprefix("+")


def _written(number: Fraction) -> str:
    """Return a fraction with all its decimals if they end, else reduced."""
    rest, twos, fives = number.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return f"{number.numerator}/{number.denominator}"
    places = max(twos, fives)
    shifted = number.numerator * 10**places // number.denominator
    if len(str(shifted)) > _LONGEST:
        return f"{number.numerator}/{number.denominator}"
    return _digits(Decimal(f"{shifted}e-{places}")) if places else str(shifted)
