"""`rim-edge ask`: answer a question from the command line, a pipe, or a small prompt."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rim_runtime.engines.names import EngineName

from rim_edge.cli.asking.form import Form
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
    from rim_runtime.engine import Engine
    from rim_runtime.question import Question

    from rim_edge.cli.asking.writing import WritingOptions

WORDS = "Answers in words"
"""Panel of what such answers are like."""


NoChoicesOption = Annotated[
    bool, typer.Option("--no-choices", help="The question has none, whatever its last lines look like.")
]
RawOption = Annotated[bool, typer.Option("--raw", "-r", help="Print the letter, or the text, only.")]
JsonlOption = Annotated[
    bool, typer.Option("--jsonl", help="Answer rows of JSON from stdin one by one, a line of JSON each.")
]
MaxTokensOption = Annotated[
    int | None,
    typer.Option(
        "--max-tokens",
        metavar="N",
        min=1,
        help="The longest answer.",
        show_default="256",
        rich_help_panel=WORDS,
    ),
]
TemperatureOption = Annotated[
    float | None,
    typer.Option(
        "--temperature",
        metavar="N",
        min=0,
        help="Draw tokens, the more freely the larger it is; 0 takes the likeliest.",
        show_default="0",
        rich_help_panel=WORDS,
    ),
]
StopOption = Annotated[
    list[str] | None,
    typer.Option(
        "--stop", metavar="TEXT", help="End before this text; repeat it for more.", rich_help_panel=WORDS
    ),
]
DrawSeedOption = Annotated[
    int | None,
    typer.Option(
        "--seed",
        metavar="N",
        min=0,
        help="Of what is drawn; the same seed gives the same text.",
        show_default="0",
        rich_help_panel=WORDS,
    ),
]


def ask(
    question: QuestionArgument = None,
    choice: ChoiceOption = None,
    no_choices: NoChoicesOption = False,
    bundle: BundleOption = None,
    blocks: BlocksOption = None,
    engine: EngineOption = EngineName.AUTO,
    precision: PrecisionOption = None,
    as_json: JsonOption = False,
    raw: RawOption = False,
    jsonl: JsonlOption = False,
    max_tokens: MaxTokensOption = None,
    temperature: TemperatureOption = None,
    stop: StopOption = None,
    seed: DrawSeedOption = None,
) -> None:
    """Answer a question: by a letter, or, without options, in words where the bundle writes text.

    Without one, on a terminal, it asks for questions until Ctrl-D; a pipe holds ONE question, or rows (--jsonl).
    """
    from rim_runtime.bundle.folder import Bundle
    from rim_runtime.bundle.names import resolve_bundle
    from rim_runtime.engines.backend import Answers
    from rim_runtime.question import Question

    from rim_edge.cli.asking.text import read_question
    from rim_edge.cli.asking.writing import WritingOptions, write_answer
    from rim_edge.cli.opening import folder_of, open_engine

    form, words = _form(as_json, raw), WritingOptions(max_tokens, temperature, stop, seed)
    if choice and no_choices:
        raise typer.BadParameter("--choice and --no-choices exclude each other")
    if jsonl:
        _refuse_beside_rows(question, choice, raw, no_choices, words)
    place = resolve_bundle(bundle).path
    if jsonl:
        from rim_edge.cli.asking.rows import answer_rows

        with folder_of(place) as folder, open_engine(folder, engine, precision) as opened:
            raise typer.Exit(answer_rows(opened, sys.stdin.buffer, blocks))
    if question is None and sys.stdin.isatty():
        if choice or no_choices:
            raise typer.BadParameter("choices need a question: rim-edge ask QUESTION -c … -c …")
        with folder_of(place) as folder:
            writes = words.require(Bundle.load(folder).manifest)
            with open_engine(folder, engine, precision) as opened:
                _converse(opened, Teller(folder, opened.manifest, form), blocks, words if writes else None)
        return
    asked = Question(read_question(question), () if no_choices else choice or None)
    asked.rendered(), asked.offered()  # refuse a bad question before a large bundle is loaded
    with folder_of(place) as folder:
        in_words = words.want_words(Bundle.load(folder).manifest, asked)
        with open_engine(folder, engine, precision, Answers.ONE) as opened:
            if in_words:
                write_answer(opened, asked, blocks, words, form)
            else:
                tell = Teller(folder, opened.manifest, form)
                tell(asked, opened.ask(asked.text, asked.choices, blocks=blocks))


def _converse(engine: Engine, tell: Teller, blocks: int | None, words: WritingOptions | None) -> None:
    """Ask for questions on a terminal; `words`: the options of answers in words, None where none are written."""
    from rim_edge.cli.asking.conversation import converse
    from rim_edge.cli.asking.terminal import reader_for
    from rim_edge.cli.asking.writing import write_answer

    def write(asked: Question) -> None:
        assert words is not None
        write_answer(engine, asked, blocks, words, tell.form)

    converse(engine, blocks, tell, reader_for(sys.stdin, sys.stdout), None if words is None else write)


class Teller:
    """Prints a bundle's answers in one of the forms, and notes where the demo has none."""

    def __init__(self, folder: Path, manifest: Manifest, form: Form) -> None:
        from rim_edge.cli.opening import is_demo

        self._bundle = folder, manifest
        self.form = form
        self._clear = ClearLead.DEMO if is_demo(manifest) else ClearLead.MODEL

    def __call__(self, question: Question, answer: Answer) -> None:
        """Print an answer."""
        if self.form is Form.JSON:
            print_json(dataclasses.asdict(answer))
        elif self.form is Form.RAW:
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


def _refuse_beside_rows(
    question: str | None, choice: list[str] | None, raw: bool, no_choices: bool, words: WritingOptions
) -> None:
    given = {
        "QUESTION": question not in (None, "-"),
        "--choice": bool(choice),
        "--no-choices": no_choices,
        "--raw": raw,
        **words.given,
    }
    for name in (name for name, is_there in given.items() if is_there):
        raise typer.BadParameter(f"--jsonl and {name} exclude each other: rows come from stdin, answers are JSON")


def _form(as_json: bool, raw: bool) -> Form:
    if as_json and raw:
        raise typer.BadParameter("--json and --raw exclude each other")
    if raw:
        return Form.RAW
    return Form.JSON if as_json else Form.PEOPLE
