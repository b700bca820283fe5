"""An answer for people: the letter, its option, its lead, the other letters, what ran, and what is known of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from rim_edge.cli.output import console
from rim_edge.cli.show.lead import ClearLead
from rim_edge.cli.show.numbers import milliseconds, percent, points
from rim_edge.cli.show.wrap import print_wrapped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rim_runtime.answer import Answer

    from rim_edge.cli.show.sureness import Sureness

UNCALIBRATED = "percentages are not calibrated"
BAR = 24
"""Cells of the longest bar."""
_LEAST_BAR = 4
_ROOM_FOR_OPTIONS = 20
_BESIDE = 14
"""Cells of a line besides its bar and its option: the letter, the percentage, and the gaps."""
_SHARES = " ▏▎▍▌▋▊▉█"
_LEAST_SHOWN = 0.005


def print_answer(
    answer: Answer,
    options: Mapping[str, str],
    clear: ClearLead = ClearLead.MODEL,
    known: str | None = None,
    sure: Sureness | None = None,
) -> None:
    """Print an answer to stdout.

    `options` are the question's, empty for an open one; `clear` is the lead from which the answer is called one;
    `known` says how often the model was right before, `sure` what calibration says of this answer.
    """
    out = console()
    is_clear = clear.reached(answer)
    out.print()
    if sure is not None and sure.is_held_back:
        print_wrapped(
            out, Text(f"no answer: {percent(sure.confidence)} sure, {percent(sure.least or 0)} wanted", "bold")
        )
    else:
        print_wrapped(out, headline(answer, is_clear=is_clear))
    out.print()
    plain = not out.encoding.lower().startswith("utf")
    cells = bar_cells(out.width) if out.is_terminal else BAR
    shares = answer.probabilities if sure is None else sure.probabilities
    for letter, probability in shares.items():
        if options or probability >= _LEAST_SHOWN or letter == answer.letter:
            line = _line(letter, probability, cells, best=is_clear and letter == answer.letter, plain=plain)
            line.append(f"   {options.get(letter, '')}".rstrip())
            out.print(line, overflow="ellipsis", no_wrap=True, soft_wrap=not out.is_terminal)
    ran = f"{answer.blocks} blocks · {answer.engine} · {answer.precision} · {milliseconds(answer.latency_ms)}"
    out.print()
    print_wrapped(out, Text(f"{answer.bundle} · {ran}", "dim"))
    said = (sure.words if sure is not None else None) or UNCALIBRATED
    print_wrapped(out, Text(f"{known}; {said}" if known else said, "dim"))
    out.print()


def headline(answer: Answer, *, is_clear: bool) -> Text:
    """Return the answer and its lead in points of 100; without a clear lead, that there is no clear answer."""
    said = f"  {answer.choice}" if answer.choice else ""
    if is_clear:
        lead = (f"   leads by {points(answer.lead)}", "dim")
        return Text.assemble((answer.letter, "bold green"), (said, "bold"), lead)
    named = f"{answer.letter} ({answer.choice})" if answer.choice else answer.letter
    return Text(f"no clear answer: {named} leads by {points(answer.lead)}")


def bar_cells(width: int) -> int:
    """Return the longest bar's cells on a terminal of this width: on a narrow one, options need the room more."""
    return max(_LEAST_BAR, min(BAR, width - _BESIDE - _ROOM_FOR_OPTIONS))


def bar(share: float, cells: int = BAR, *, plain: bool = False) -> str:
    """Return a bar of that share of `cells`, in eighths of a cell."""
    eighths = round(share * cells * 8)
    if plain:
        return "#" * (eighths // 8)
    return (_SHARES[-1] * (eighths // 8) + _SHARES[eighths % 8]).strip()


def _line(letter: str, probability: float, cells: int, *, best: bool, plain: bool) -> Text:
    style = "green" if best else "dim"
    return Text.assemble(
        "  ",
        (letter, "bold green" if best else ""),
        "  ",
        (f"{bar(probability, cells, plain=plain):<{cells}}", style),
        (f"  {percent(probability):>6}", style),
    )
