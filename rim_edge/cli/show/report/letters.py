"""Which letters are answered: the confusion matrix, and a liking for a place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rim_edge.cli.show.numbers import tenths
from rim_edge.cli.show.report.markup import paragraph, safe, section, table

if TYPE_CHECKING:
    from rim_edge.cli.show.evaluation import Scored
    from rim_edge.evaluation.report.breakdown import Confusion

_DENSEST = 0.62
"""Opacity of a full cell: its text stays readable, light and dark."""


def letters(scored: Scored) -> str:
    """Return the section of the letters; empty where none was read."""
    found = scored.breakdown.confusion
    if found is None:
        return ""
    heads = ['<span class="faint">right ↓ &nbsp; answered →</span>', *found.letters, "all"]
    rows = [_row(found, right) for right in found.letters]
    sums = [found.given(letter) for letter in found.letters]
    rows.append(_sums("all", [*sums, sum(sums)]))
    return section(
        "letters",
        "Which letters",
        paragraph(
            "Each row is one right letter; its cells say what was answered, and are as dark as their share.",
            "faint",
        ),
        table("Answered letters by right letter", heads, rows, "confusion"),
        _bias(scored),
    )


def _row(found: Confusion, right: str) -> str:
    total = found.right(right)
    cells = "".join(_cell(found.counts.get((right, given), 0), total, right == given) for given in found.letters)
    return f'<tr><th scope="row">{safe(right)}</th>{cells}<td class="sum">{total:,}</td></tr>\n'


def _cell(number: int, total: int, is_hit: bool) -> str:
    share = number / total if total else 0.0
    kind = "heat hit" if is_hit else "heat"
    small = f"<small>{100 * share:.0f} %</small>" if total else ""
    return f'<td class="{kind}" style="--a:{_DENSEST * share:.3f}">{number:,}{small}</td>'


def _sums(name: str, numbers: list[int]) -> str:
    cells = "".join(f'<td class="sum">{number:,}</td>' for number in numbers)
    return f'<tr><th scope="row">{name}</th>{cells}</tr>\n'


def _bias(scored: Scored) -> str:
    bias = scored.asked.position_bias
    if bias is None:
        return ""
    orders = ", asked with each option in every place" if scored.about.manner.permute else ""
    more = "" if orders or bias < 0.1 else " eval --permute asks each option in every place, which cancels it."
    return paragraph(
        f"Position bias {tenths(bias)}{orders}: so many answers would have to be another letter for each to be "
        f"answered as often as it is right.{more}"
    )
