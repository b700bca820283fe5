r"""The one form of an answer, in which two are compared: `\$2,125.00`, `2125.` and `2{,}125\%` are the same."""

from __future__ import annotations

import re

from rim_edge.data.numbers import exact_number

_REPLACED = (
    (re.compile(r"\\[dtc]frac"), r"\\frac"),
    (re.compile(r"\\left(?![a-z])|\\right(?![a-z])|\\!"), ""),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"(?<!\\)\\[,;: ]|(?<!\\)~"), " "),
    (re.compile(r"\^ ?(?:\\circ|\{ ?\\circ ?\})|\\degree|°"), ""),
    (re.compile(r"\\([%$])"), r"\1"),
    (re.compile("[\u2212\u2010\u2011]"), "-"),
)
"""What LaTeX writes in several ways, or for looks alone."""
_WORDS = r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox)\{([^{}]*)\}"
_WORD = re.compile(_WORDS)
_LATEX_UNIT = re.compile(rf"(.*?\d\}}*) *{_WORDS}(?:\^(?:\d|\{{\d\}}))?")
r"""A number, and its unit as LaTeX writes it: `10\text{ cm}^2`."""
_WRAPPED = re.compile(r"\$([^$]+)\$|\\\((.+)\\\)|\\\[(.+)\\\]|\*\*([^*]+)\*\*|`([^`]+)`")
_CURRENCY = "$€£¥"
_UNIT = re.compile(r"(.*?[\d}]) ?((?:[^\W\d]|[/.'²³-]|\^\{?[23]\}?)+(?: (?:[^\W\d]|[/.'²³-])+){0,3})")
"""A number, and one to four words after it."""
_NO_UNITS = frozenset(("and", "or", "half", "third", "thirds", "quarter", "quarters", "dozen", "hundred"))
_NO_UNITS |= frozenset(("thousand", "million", "billion"))
"""Words that change a number's value."""


def canonical(text: str) -> str:
    r"""Return an answer in the form that is compared: a number exactly and without signs of currency or percent.

    White space, LaTeX's spacing, `\text{…}`, dollar signs around formulas and a last full stop make no difference;
    capital letters do.
    """
    plain = " ".join(text.split())
    for pattern, instead in _REPLACED:
        plain = pattern.sub(instead, plain)
    plain = " ".join(plain.split())
    if (whole := _WRAPPED.fullmatch(plain)) is not None:
        plain = next(filter(None, whole.groups())).strip()
    with_unit = _LATEX_UNIT.fullmatch(plain)
    if with_unit is not None and (number := _number(with_unit[1])) is not None:
        return number
    plain = " ".join(_WORD.sub(r"\1", plain).split())
    if len(plain) > 1 and not plain.endswith(".."):
        plain = plain.removesuffix(".").rstrip()
    number = _number(plain)
    return plain if number is None else number


def canonical_like(text: str, right: str) -> str:
    """Return a given answer in the form of the right one, which is canonical.

    Where the right one is a bare number, `x = 18` and `18 dollars a day` are the number too; where it has a unit,
    the unit has to be given.
    """
    plain = canonical(text)
    if plain == right or exact_number(right) is None:
        return plain
    last = canonical(plain.rpartition("=")[2])
    unit = _UNIT.fullmatch(last)
    if unit is not None and _NO_UNITS.isdisjoint(unit[2].casefold().split()):
        last = canonical(unit[1])
    return plain if exact_number(last) is None else last


def _number(text: str) -> str | None:
    """Return the number of a text that has nothing else but signs of currency or percent."""
    sign = text[:1] if text[:1] in ("+", "-") else ""
    bare = text.removeprefix(sign).lstrip(_CURRENCY).rstrip(_CURRENCY + "%").strip()
    return exact_number(sign + bare)
