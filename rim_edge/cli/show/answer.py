"""An answer for people: the letter, its option, the confidence, the other letters, and what ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from rim_edge.cli.output import console

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rim_runtime.answer import Answer

BAR = 24
"""Cells of the longest bar."""
_SHARES = " ▏▎▍▌▋▊▉█"
_LEAST_SHOWN = 0.005


def print_answer(answer: Answer, options: Mapping[str, str]) -> None:
    """Print an answer to stdout; `options` are the question's, empty for an open one."""
    out = console()
    head = Text.assemble("\n  ", (answer.letter, "bold green"))
    if answer.choice is not None:
        head.append(f"  {answer.choice}", "bold")
    head.append(f"   confidence {percent(answer.confidence)}", "dim")
    out.print(head)
    out.print()
    plain = not out.encoding.lower().startswith("utf")
    for letter, probability in answer.probabilities.items():
        if options or probability >= _LEAST_SHOWN or letter == answer.letter:
            line = _line(letter, probability, best=letter == answer.letter, plain=plain)
            out.print(
                line.append(f"   {options.get(letter, '')}".rstrip()),
                overflow="ellipsis",
                no_wrap=True,
                soft_wrap=not out.is_terminal,
            )
    ran = f"{answer.blocks} blocks · {answer.engine} · {answer.precision} · {milliseconds(answer.latency_ms)}"
    out.print(Text(f"\n  {answer.bundle} · {ran}\n", "dim"))


def percent(share: float) -> str:
    """Return a share in percent without claiming certainty it does not have."""
    if share >= 0.995:
        return "> 99 %"
    return "< 1 %" if share < _LEAST_SHOWN else f"{share:.0%}".replace("%", " %")


def milliseconds(value: float) -> str:
    """Return a time in ms, with a decimal where it matters."""
    return f"{value:,.1f} ms" if value < 10 else f"{value:,.0f} ms"


def bar(share: float, cells: int = BAR, *, plain: bool = False) -> str:
    """Return a bar of that share of `cells`, in eighths of a cell."""
    eighths = round(share * cells * 8)
    if plain:
        return "#" * (eighths // 8)
    return (_SHARES[-1] * (eighths // 8) + _SHARES[eighths % 8]).strip()


def _line(letter: str, probability: float, *, best: bool, plain: bool) -> Text:
    style = "green" if best else "dim"
    return Text.assemble(
        "  ",
        (letter, "bold green" if best else ""),
        "  ",
        (f"{bar(probability, plain=plain):<{BAR}}", style),
        (f"  {percent(probability):>6}", style),
    )
