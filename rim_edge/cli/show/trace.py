"""A trace for people: a line for every number of blocks, with the answer behind it and a bar."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from rich.text import Text

from rim_edge.cli.output import console
from rim_edge.cli.show.answer import BAR, UNCALIBRATED, bar, bar_cells
from rim_edge.cli.show.numbers import count, milliseconds, percent
from rim_edge.cli.show.wrap import print_wrapped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rim_runtime.tracing.trace import Trace


@dataclasses.dataclass(frozen=True)
class Reading:
    """What was read behind one number of blocks."""

    answer: str
    """The letter, or a text's first token."""
    option: str
    """The option behind the letter; empty for others."""
    probability: float
    """Of the letter among those that were offered, or of the token among all."""


def readings(trace: Trace, options: Mapping[str, str]) -> tuple[Reading, ...]:
    """Return what is shown of a trace: letters, or without options first tokens of texts, where there are some."""
    if options or not trace.first_tokens:
        return tuple(Reading(one.letter, one.choice or "", one.confidence) for one in trace.answers)
    return tuple(Reading(token_text(one.text), "", one.probability) for one in trace.first_tokens)


def token_text(text: str) -> str:
    """Return a token as it may be shown: a terminal would obey control characters, and spaces are seen."""
    from rim_runtime.bundle.control_characters import without_control_characters

    if not text:
        return "(end)"
    shown = without_control_characters(text.replace("\n", "⏎").replace("\t", "⇥"))
    return f"'{shown}'" if shown != shown.strip() or not shown else shown


def changes(shown: Sequence[Reading]) -> tuple[int, ...]:
    """Return the numbers of blocks behind which another answer was read than one block earlier."""
    return tuple(k for k in range(1, len(shown)) if shown[k].answer != shown[k - 1].answer)


def summary(shown: Sequence[Reading]) -> str:
    """Return when the last answer was reached, in words."""
    changed = changes(shown)
    if not changed:
        return "the same with no block as with all"
    return f"from block {changed[-1]} on, after {count(len(changed), 'change')}"


def trace_body(trace: Trace) -> dict[str, Any]:
    """Return a trace for programs."""
    return {**dataclasses.asdict(trace), "changes": trace.changes, "settled": trace.settled}


def print_trace(trace: Trace, options: Mapping[str, str]) -> None:
    """Print a trace to stdout; `options` are the question's, empty for an open one."""
    out, shown = console(), readings(trace, options)
    plain = not out.encoding.lower().startswith("utf")
    cells = bar_cells(out.width) if out.is_terminal else BAR
    changed, wide = changes(shown), max(len(one.answer) for one in shown)
    last = shown[-1]
    out.print()
    said = f"  {last.option}" if last.option else ""
    headline = Text.assemble((last.answer, "bold green"), (said, "bold"), (f"   {summary(shown)}", "dim"))
    print_wrapped(out, headline)
    out.print()
    out.print(Text("  blocks", "dim"))
    for blocks, one in enumerate(shown):
        style = "green" if one.answer == last.answer else "yellow"
        line = Text.assemble(
            (f"  {blocks:>6}  ", "dim"),
            (f"{one.answer:<{wide}}", f"bold {style}"),
            (f"  {bar(one.probability, cells, plain=plain):<{cells}}", style),
            (f"  {percent(one.probability):>6}", style),
            ("  * " if plain else "  ◂ ", "bold") if blocks in changed else "    ",
            one.option,
        )
        line.rstrip()
        out.print(line, overflow="ellipsis", no_wrap=True, soft_wrap=not out.is_terminal)
    ran = trace.answers[-1]
    took = f"{milliseconds(trace.latency_ms)} for all {len(shown)}"
    out.print()
    print_wrapped(out, Text(f"{ran.bundle} · {ran.engine} · {ran.precision} · {took}", "dim"))
    print_wrapped(out, Text(UNCALIBRATED, "dim"))
    out.print()
