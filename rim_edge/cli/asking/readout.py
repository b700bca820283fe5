"""A letter that was read from generated text, printed."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from rim_edge.cli.asking.form import Form
from rim_edge.cli.output import console, print_json

if TYPE_CHECKING:
    from collections.abc import Container

    from rim_runtime.generate.readout import GeneratedAnswer


def print_generated(answer: GeneratedAnswer, offered: Container[str], form: Form) -> None:
    """Print an answer to a question that offers these letters; without a letter, `--raw` prints an empty line."""
    if form is Form.JSON:
        print_json(dataclasses.asdict(answer))
    elif form is Form.RAW:
        print(answer.letter or "", flush=True)
    else:
        _print(answer, offered)


def _print(answer: GeneratedAnswer, offered: Container[str]) -> None:
    from rich.text import Text

    from rim_edge.cli.show.numbers import milliseconds
    from rim_edge.cli.show.wrap import print_wrapped

    out, text = console(), answer.generated
    out.print()
    if answer.letter is None:
        print_wrapped(out, Text("no letter from A to J in what was generated"))
    else:
        said = f"  {answer.choice}" if answer.letter in offered else "  (not offered)"
        print_wrapped(out, Text.assemble((answer.letter, "bold green"), (said, "bold")))
    out.print()
    begins = "begins with the bare letter" if answer.bare else "does not begin with a bare letter"
    print_wrapped(out, Text(f"generated {text.text!r}, which {begins}", "dim"))
    ran = f"{text.blocks} blocks · {text.engine} · {text.precision} · {milliseconds(text.latency_ms)}"
    print_wrapped(out, Text(f"{text.bundle} · {ran}", "dim"))
    out.print()
