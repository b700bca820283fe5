"""`rim-edge ask`: answer a question from the command line, a pipe, or a small prompt."""

from __future__ import annotations

import dataclasses
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from rim_edge.cli.options import (
    BlocksOption,
    BundleOption,
    ChoiceOption,
    EngineOption,
    JsonOption,
    QuestionArgument,
)
from rim_edge.cli.output import note, print_json

if TYPE_CHECKING:
    from rim_runtime.answer import Answer
    from rim_runtime.bundle.names import ResolvedBundle
    from rim_runtime.question import Question


CLEAR_LEAD = 0.2
"""The lead from which the demo knows an answer: 98 of 100 of its own puzzles have it, hardly any other text."""


class Form(StrEnum):
    """How an answer is printed."""

    PEOPLE = "people"
    JSON = "json"
    RAW = "raw"


def ask(
    question: QuestionArgument = None,
    choice: ChoiceOption = None,
    bundle: BundleOption = None,
    blocks: BlocksOption = None,
    engine: EngineOption = "auto",
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision", metavar="P", help="One of those that 'bundle info' shows. [default: the bundle's first]"
        ),
    ] = None,
    as_json: JsonOption = False,
    raw: Annotated[bool, typer.Option("--raw", "-r", help="Print the letter only.")] = False,
) -> None:
    """Answer a question.

    Without one, on a terminal, it asks for questions until Ctrl-D.
    """
    from rim_runtime.bundle.names import resolve_bundle
    from rim_runtime.engines.backend import Answers
    from rim_runtime.question import Question

    from rim_edge.cli.opening import open_engine
    from rim_edge.cli.questions import read_question

    form = _form(as_json, raw)
    resolved = resolve_bundle(bundle)
    if question is None and sys.stdin.isatty():
        from rim_edge.cli.questions import converse

        if choice:
            raise typer.BadParameter("choices need a question: rim-edge ask QUESTION -c … -c …")
        with open_engine(resolved, engine, precision) as opened:
            converse(opened, blocks, lambda question, answer: _tell(resolved, question, answer, form))
        return
    asked = Question(read_question(question), choice or ())
    asked.rendered(), asked.offered()  # refuse a bad question before a large bundle is loaded
    with open_engine(resolved, engine, precision, Answers.ONE) as opened:
        _tell(resolved, asked, opened.ask(asked.text, asked.choices, blocks=blocks), form)


def _tell(bundle: ResolvedBundle, question: Question, answer: Answer, form: Form) -> None:
    """Print an answer, and a note where the demo has none."""
    from rim_runtime.bundle.names import demo_folder

    show(question, answer, form)
    lead = _lead(answer)
    if bundle.path == demo_folder() and lead < CLEAR_LEAD:
        note(
            f"the demo does not know: {answer.letter} leads by {100 * lead:.0f} points of 100 only. It solves its "
            "three kinds of puzzle (rim-edge demo) and knows nothing else"
        )


def _lead(answer: Answer) -> float:
    """Return how much more probable the answer is than the next one."""
    first, second, *_ = sorted(answer.probabilities.values(), reverse=True)
    return first - second


def show(question: Question, answer: Answer, form: Form) -> None:
    """Print an answer in one of the forms."""
    if form is Form.JSON:
        print_json(dataclasses.asdict(answer))
    elif form is Form.RAW:
        print(answer.letter, flush=True)
    else:
        from rim_edge.cli.show.answer import print_answer

        print_answer(answer, question.offered())


def _form(as_json: bool, raw: bool) -> Form:
    if as_json and raw:
        raise typer.BadParameter("--json and --raw exclude each other")
    if raw:
        return Form.RAW
    return Form.JSON if as_json else Form.PEOPLE
