"""Answers in words, printed: one as it comes, several once they are whole."""

from __future__ import annotations

import dataclasses
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

from rim_edge.cli.asking.form import Form
from rim_edge.cli.output import console, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rim_runtime.engine import Engine
    from rim_runtime.generate.stream import TextStream
    from rim_runtime.generate.text import Text
    from rim_runtime.question import Question

    from rim_edge.cli.asking.writing_options import WritingOptions


def write_answer(
    engine: Engine, question: Question, blocks: int | None, options: WritingOptions, form: Form
) -> None:
    """Answer a question in words, and print the text as it comes; samples, and JSON, once they are whole."""
    if form is Form.JSON:
        print_json(written(engine, question, blocks, options))
    elif options.samples is not None:
        _print_samples(_sample(engine, question, blocks, options), form)
    else:
        _print_stream(engine, question, blocks, options, form)


def written(engine: Engine, question: Question, blocks: int | None, options: WritingOptions) -> dict[str, Any]:
    """Return an answer in words as JSON has it: a text, or `samples`, a list of them."""
    if options.samples is not None:
        return {"samples": [dataclasses.asdict(text) for text in _sample(engine, question, blocks, options)]}
    return dataclasses.asdict(_stream(engine, question, blocks, options).result())


def _stream(engine: Engine, question: Question, blocks: int | None, options: WritingOptions) -> TextStream:
    return engine.generate(question, **_given(options), blocks=blocks)


def _sample(engine: Engine, question: Question, blocks: int | None, options: WritingOptions) -> list[Text]:
    return engine.sample(question, options.samples or 1, **_given(options), blocks=blocks)


def _given(options: WritingOptions) -> dict[str, Any]:
    return {
        "max_tokens": options.max_tokens,
        "stop": options.stop or (),
        "sampling": options.sampling(),
        "latent_steps": options.latent_steps,
    }


def _print_stream(
    engine: Engine, question: Question, blocks: int | None, options: WritingOptions, form: Form
) -> None:
    with closing(_stream(engine, question, blocks, options)) as stream:
        for piece in stream:
            print(_shown(piece), end="", flush=True)
        print(flush=True)
        if form is Form.PEOPLE:
            _print_end([stream.result()])


def _print_samples(texts: Sequence[Text], form: Form) -> None:
    """Print texts, for people each behind its number."""
    from rich.text import Text as Line

    out, width = console(), len(str(len(texts)))
    for number, text in enumerate(texts, 1):
        shown = _shown(text.text)
        if form is Form.RAW:
            print(shown, flush=True)
            continue
        indented = shown.replace("\n", "\n" + " " * (width + 2))
        out.print(Line.assemble((f"{number:>{width}}  ", "dim"), indented))
    if form is Form.PEOPLE:
        _print_end(texts)


def _shown(piece: str) -> str:
    """Return a piece as it may be shown: a terminal would obey control characters."""
    from rim_runtime.bundle.control_characters import without_control_characters

    return without_control_characters(piece) if sys.stdout.isatty() else piece


def _print_end(texts: Sequence[Text]) -> None:
    """Print what ran, and whether a text was cut."""
    from rich.text import Text as Line

    from rim_edge.cli.show.numbers import count, milliseconds
    from rim_edge.cli.show.wrap import print_wrapped

    first, cut = texts[0], sum(text.ended == "limit" for text in texts)
    tokens = count(sum(len(text.tokens) for text in texts), "token")
    if len(texts) == 1:
        tokens += ", cut there (--max-tokens)" if cut else ""
    else:
        tokens = f"{count(len(texts), 'sample')}, {tokens}" + (f", {cut} cut (--max-tokens)" if cut else "")
    times = f"first after {milliseconds(first.first_token_ms)}, all after {milliseconds(first.latency_ms)}"
    out = console()
    out.print()
    thought = count(first.latent_steps, "latent step") if first.latent_steps else f"{first.blocks} blocks"
    ran = f"{first.bundle} · {thought} · {first.engine} · {first.precision} · {tokens} · {times}"
    print_wrapped(out, Line(ran, "dim"))
