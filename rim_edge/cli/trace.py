"""`rim-edge trace`: what a model would answer after every memory block, in the terminal or as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rim_runtime.engines.names import EngineName

from rim_edge.cli.options import (
    BundleOption,
    ChoiceOption,
    EngineOption,
    JsonOption,
    PrecisionOption,
    QuestionArgument,
    new_path,
)
from rim_edge.cli.output import note, print_json

if TYPE_CHECKING:
    from rim_runtime.question import Question
    from rim_runtime.tracing.trace import Trace

SvgOption = Annotated[
    Path | None,
    typer.Option(
        "--svg", metavar="FILE", parser=new_path, help="Write a picture to this new file.", show_default="none"
    ),
]


def trace(
    question: QuestionArgument = None,
    choice: ChoiceOption = None,
    bundle: BundleOption = None,
    engine: EngineOption = EngineName.AUTO,
    precision: PrecisionOption = None,
    svg: SvgOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what the model would answer after every memory block, in one pass; the bundle needs a trace."""
    from rim_runtime.bundle.names import resolve_bundle
    from rim_runtime.machine.storage import refuse_existing, require_writable
    from rim_runtime.question import Question

    from rim_edge.cli.asking.text import read_question

    asked = Question(read_question(question), choice or None)
    asked.rendered(), asked.offered()  # refuse a bad question before a large bundle is loaded
    if svg is not None:
        refuse_existing(svg)
        require_writable(svg)
    found = _trace(resolve_bundle(bundle).path, asked, engine, precision)
    if svg is not None:
        _write(svg, found, asked)
    _print(found, asked, as_json=as_json)


def show_trace(place: Path, asked: Question, engine: str, precision: str | None, *, as_json: bool) -> None:
    """Trace a question, and print it as a table or as JSON. Raises InputError if the bundle has no trace."""
    _print(_trace(place, asked, engine, precision), asked, as_json=as_json)


def _print(found: Trace, asked: Question, *, as_json: bool) -> None:
    if as_json:
        from rim_edge.cli.show.trace import trace_body

        print_json(trace_body(found))
    else:
        from rim_edge.cli.show.trace import print_trace

        print_trace(found, asked.offered())


def _trace(place: Path, asked: Question, engine: str, precision: str | None) -> Trace:
    """Return a question's trace. Raises InputError, before an engine is loaded, if the bundle has none."""
    from rim_runtime.bundle.folder import Bundle
    from rim_runtime.bundle.roles import Ability, abilities
    from rim_runtime.engines.backend import Answers
    from rim_runtime.tracing.tracer import no_trace

    from rim_edge.cli.opening import folder_of, open_engine

    with folder_of(place) as folder:
        manifest = Bundle.load(folder).manifest
        if Ability.TRACE not in abilities(manifest):
            raise no_trace(manifest)
        with open_engine(folder, engine, precision, Answers.ONE) as opened:
            return opened.trace(asked.text, asked.choices)


def _write(svg: Path, found: Trace, asked: Question) -> None:
    from rim_runtime.machine.storage import write_file

    from rim_edge.cli.show.pictures.trace import picture

    write_file(svg, picture(found, asked.text, asked.offered()))
    note(f"the picture is in {svg}")
