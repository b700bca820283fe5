"""`rim-edge ask`: answer a question from the command line, a pipe, or a small prompt."""

from __future__ import annotations

import dataclasses
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rim_runtime.engines.names import EngineName

from rim_edge.cli.options import (
    BlocksOption,
    BundleOption,
    ChoiceOption,
    EngineOption,
    JsonOption,
    PrecisionOption,
    QuestionArgument,
)
from rim_edge.cli.output import note, print_json
from rim_edge.cli.show.lead import ClearLead
from rim_edge.cli.show.numbers import points

if TYPE_CHECKING:
    from pathlib import Path

    from rim_runtime.answer import Answer
    from rim_runtime.bundle.manifest import Manifest
    from rim_runtime.question import Question


class Form(StrEnum):
    """How an answer is printed."""

    PEOPLE = "people"
    JSON = "json"
    RAW = "raw"


def ask(
    question: QuestionArgument = None,
    choice: ChoiceOption = None,
    no_choices: Annotated[
        bool, typer.Option("--no-choices", help="The question has none, whatever its last lines look like.")
    ] = False,
    bundle: BundleOption = None,
    blocks: BlocksOption = None,
    engine: EngineOption = EngineName.AUTO,
    precision: PrecisionOption = None,
    as_json: JsonOption = False,
    raw: Annotated[bool, typer.Option("--raw", "-r", help="Print the letter only.")] = False,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Answer rows of JSON from stdin one by one, a line of JSON each.")
    ] = False,
) -> None:
    """Answer a question.

    Without one, on a terminal, it asks for questions until Ctrl-D; a pipe holds ONE question, or rows (--jsonl).
    """
    from rim_runtime.bundle.names import resolve_bundle
    from rim_runtime.engines.backend import Answers
    from rim_runtime.question import Question

    from rim_edge.cli.asking.text import read_question
    from rim_edge.cli.opening import folder_of, open_engine

    form = _form(as_json, raw)
    if choice and no_choices:
        raise typer.BadParameter("--choice and --no-choices exclude each other")
    if jsonl:
        _refuse_beside_rows(question, choice, raw, no_choices)
    place = resolve_bundle(bundle).path
    if jsonl:
        from rim_edge.cli.asking.rows import answer_rows

        with folder_of(place) as folder, open_engine(folder, engine, precision) as opened:
            raise typer.Exit(answer_rows(opened, sys.stdin.buffer, blocks))
    if question is None and sys.stdin.isatty():
        from rim_edge.cli.asking.conversation import converse
        from rim_edge.cli.asking.terminal import reader_for

        if choice or no_choices:
            raise typer.BadParameter("choices need a question: rim-edge ask QUESTION -c … -c …")
        with folder_of(place) as folder, open_engine(folder, engine, precision) as opened:
            tell = Teller(folder, opened.manifest, form)
            converse(opened, blocks, tell, reader_for(sys.stdin, sys.stdout))
        return
    asked = Question(read_question(question), () if no_choices else choice or None)
    asked.rendered(), asked.offered()  # refuse a bad question before a large bundle is loaded
    with folder_of(place) as folder, open_engine(folder, engine, precision, Answers.ONE) as opened:
        tell = Teller(folder, opened.manifest, form)
        tell(asked, opened.ask(asked.text, asked.choices, blocks=blocks))


class Teller:
    """Prints a bundle's answers in one of the forms, and notes where the demo has none."""

    def __init__(self, folder: Path, manifest: Manifest, form: Form) -> None:
        from rim_edge.cli.opening import is_demo

        self._bundle = folder, manifest
        self._form = form
        self._clear = ClearLead.DEMO if is_demo(manifest) else ClearLead.MODEL

    def __call__(self, question: Question, answer: Answer) -> None:
        """Print an answer."""
        if self._form is Form.JSON:
            print_json(dataclasses.asdict(answer))
        elif self._form is Form.RAW:
            print(answer.letter, flush=True)
        else:
            self._print(question, answer)
        if self._is_foreign(answer):
            note(f"the demo does not know: {answer.letter} leads by {points(answer.lead)}")

    def _print(self, question: Question, answer: Answer) -> None:
        from rim_runtime.bundle.folder import Bundle

        from rim_edge.cli.show.answer import print_answer
        from rim_edge.cli.show.proof import known_accuracy, read_proofs

        proofs = read_proofs(Bundle(*self._bundle).certificate())
        known = None if self._is_foreign(answer) else known_accuracy(proofs, answer.precision, answer.blocks)
        print_answer(answer, question.offered(), self._clear, known)

    def _is_foreign(self, answer: Answer) -> bool:
        """Whether the demo was asked something that is none of its puzzles, on which alone it was certified."""
        return self._clear is ClearLead.DEMO and not self._clear.reached(answer)


def _refuse_beside_rows(question: str | None, choice: list[str] | None, raw: bool, no_choices: bool) -> None:
    given = {
        "QUESTION": question not in (None, "-"),
        "--choice": bool(choice),
        "--no-choices": no_choices,
        "--raw": raw,
    }
    for name in (name for name, is_there in given.items() if is_there):
        raise typer.BadParameter(f"--jsonl and {name} exclude each other: rows come from stdin, answers are JSON")


def _form(as_json: bool, raw: bool) -> Form:
    if as_json and raw:
        raise typer.BadParameter("--json and --raw exclude each other")
    if raw:
        return Form.RAW
    return Form.JSON if as_json else Form.PEOPLE
