"""`rim-edge ask`: answer a question from the command line, a pipe, or a small prompt."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rim_runtime.engines.names import EngineName
from rim_runtime.generate.readout import Readout
from rim_runtime.generate.sampling import MOST_SAMPLES

from rim_edge.cli.asking.form import Form
from rim_edge.cli.options import (
    MODEL,
    BlocksOption,
    BundleOption,
    ChoiceOption,
    EngineOption,
    JsonOption,
    PrecisionOption,
    QuestionArgument,
    listed,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rim_runtime.bundle.manifest import Manifest
    from rim_runtime.engine import Engine
    from rim_runtime.question import Question

    from rim_edge.cli.asking.answering import Wanted
    from rim_edge.cli.asking.writing_options import WritingOptions

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
TopPOption = Annotated[
    float | None,
    typer.Option(
        "--top-p",
        metavar="N",
        help="Draw from the likeliest tokens only, which together have this share, up to 1.",
        show_default="1",
        rich_help_panel=WORDS,
    ),
]
SamplesOption = Annotated[
    int | None,
    typer.Option(
        "--samples",
        metavar="N",
        min=1,
        max=MOST_SAMPLES,
        help="Write so many texts, each drawn by itself.",
        show_default="1",
        rich_help_panel=WORDS,
    ),
]
LatentStepsOption = Annotated[
    int | None,
    typer.Option(
        "--latent-steps",
        metavar="N",
        min=0,
        help="Latent steps before the text, of a model that takes such; 0 is the control.",
        show_default="as trained",
        rich_help_panel=WORDS,
    ),
]
ReadoutOption = Annotated[
    Readout,
    typer.Option(
        "--readout",
        metavar="NAME",
        help=f"{listed(Readout)}: of a letter, the first in up to 8 tokens.",
        rich_help_panel=MODEL,
    ),
]
TraceOption = Annotated[
    bool,
    typer.Option(
        "--trace",
        help="Show the answer after every memory block, if the bundle has a trace.",
        rich_help_panel=MODEL,
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


PermuteOption = Annotated[
    bool,
    typer.Option(
        "--permute",
        help="Ask with the options in every order of a rotation; the letter is that of their mean.",
        rich_help_panel=MODEL,
    ),
]
MinConfidenceOption = Annotated[
    float | None,
    typer.Option(
        "--min-confidence",
        metavar="N",
        min=0,
        max=1,
        help="Give no letter below this confidence, and exit 5; needs 'rim-edge calibrate'.",
        show_default="any",
        rich_help_panel=MODEL,
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
    top_p: TopPOption = None,
    stop: StopOption = None,
    seed: DrawSeedOption = None,
    samples: SamplesOption = None,
    latent_steps: LatentStepsOption = None,
    readout: ReadoutOption = Readout.SINGLE_PASS,
    trace: TraceOption = False,
    permute: PermuteOption = False,
    min_confidence: MinConfidenceOption = None,
) -> None:
    """Answer a question: by a letter, or, without options, in words where the bundle writes text.

    Without one, on a terminal, it asks for questions until Ctrl-D; a pipe holds ONE question, or rows (--jsonl).
    """
    from dataclasses import replace

    from rim_runtime.bundle.folder import Bundle
    from rim_runtime.bundle.names import resolve_bundle
    from rim_runtime.engines.backend import Answers
    from rim_runtime.question import Question

    from rim_edge.cli.asking.answering import Answering
    from rim_edge.cli.asking.text import read_question
    from rim_edge.cli.asking.writing_options import WritingOptions
    from rim_edge.cli.opening import folder_of, open_engine

    form = _form(as_json, raw)
    words = WritingOptions(max_tokens, temperature, top_p, seed, samples, stop, latent_steps)
    _refuse_together(choice, no_choices, readout, words)
    place, asked = resolve_bundle(bundle).path, None
    if jsonl:
        _refuse_beside_rows(question, choice, raw, no_choices)
    elif question is not None or not sys.stdin.isatty():
        asked = Question(read_question(question), () if no_choices else choice or None)
        asked.rendered(), asked.offered()  # refuse a bad question before a large bundle is loaded
    elif choice or no_choices:
        raise typer.BadParameter("choices need a question: rim-edge ask QUESTION -c … -c …")
    if trace:
        from rim_edge.cli.trace import show_trace

        if asked is None:
            raise typer.BadParameter("--trace needs one question: rim-edge ask --trace QUESTION")
        options = {"--permute": permute, "--min-confidence": min_confidence is not None}
        _refuse_beside_trace({"--raw": raw, "--blocks": blocks is not None, **options, **words.given}, readout)
        show_trace(place, asked, engine, precision, as_json=as_json)
        return
    with folder_of(place) as folder:
        wanted = _wanted(Bundle.load(folder).manifest, blocks, readout, words, asked)
        wanted = replace(wanted, permute=permute, least=min_confidence)
        _refuse_beside_letters(wanted, asked)
        with open_engine(folder, engine, precision, Answers.ONE if asked else Answers.MANY) as opened:
            if min_confidence is not None:
                _require_calibration(opened, wanted)
            answering = Answering(opened, folder, wanted)
            if asked is not None:
                answering.print(asked, form)
            elif jsonl:
                from rim_edge.cli.asking.rows import answer_rows

                raise typer.Exit(answer_rows(answering, sys.stdin.buffer))
            else:
                from rim_edge.cli.asking.conversation import converse
                from rim_edge.cli.asking.terminal import reader_for

                converse(lambda asked: answering.print(asked, form), reader_for(sys.stdin, sys.stdout))


def _wanted(
    manifest: Manifest, blocks: int | None, readout: Readout, words: WritingOptions, asked: Question | None
) -> Wanted:
    """Return how questions are answered. Raises InputError for what the bundle, or the only question, excludes."""
    from rim_runtime.generate.order import no_decoder

    from rim_edge.cli.asking.answering import Wanted

    contract = manifest.prompt
    contract.check_blocks(contract.blocks if blocks is None else blocks)
    writes = words.require(manifest) if asked is None else words.want_words(manifest, asked)
    if readout is Readout.GENERATE and not words.require(manifest):
        raise no_decoder(manifest.name)
    return Wanted(blocks, readout, words if writes else None)


def _refuse_beside_letters(wanted: Wanted, asked: Question | None) -> None:
    """Refuse options that are about letters where none is read, or not so that it was calibrated."""
    if wanted.permute and wanted.readout is Readout.GENERATE:
        raise typer.BadParameter("--permute and --readout generate exclude each other: it reads letters")
    if wanted.least is not None and wanted.readout is Readout.GENERATE:
        raise typer.BadParameter("--min-confidence and --readout generate exclude each other: a text has none")
    if wanted.least is not None and wanted.permute:
        raise typer.BadParameter("--min-confidence and --permute exclude each other: a mean was not calibrated")
    if asked is not None:
        wanted.words_for(asked)


def _require_calibration(engine: Engine, wanted: Wanted) -> None:
    """Raise InputError where nobody knows how sure a bundle's letters are."""
    from rim_runtime.calibration import find_calibration
    from rim_runtime.errors import InputError

    blocks = engine.manifest.prompt.blocks if wanted.blocks is None else wanted.blocks
    if find_calibration(engine.manifest, engine.precision, blocks) is None:
        raise InputError(
            f"--min-confidence needs to know how sure {engine.bundle} is, and it was not calibrated here with "
            f"{blocks} blocks at {engine.precision}. First: rim-edge calibrate FILE"
        )


def _refuse_together(choice: list[str] | None, no_choices: bool, readout: Readout, words: WritingOptions) -> None:
    if choice and no_choices:
        raise typer.BadParameter("--choice and --no-choices exclude each other")
    if readout is Readout.GENERATE and (names := [name for name, is_given in words.given.items() if is_given]):
        raise typer.BadParameter(
            f"--readout generate and {names[0]} exclude each other: it reads a letter from the 8 likeliest tokens"
        )


def _refuse_beside_rows(question: str | None, choice: list[str] | None, raw: bool, no_choices: bool) -> None:
    given = {
        "QUESTION": question not in (None, "-"),
        "--choice": bool(choice),
        "--no-choices": no_choices,
        "--raw": raw,
    }
    for name in (name for name, is_there in given.items() if is_there):
        raise typer.BadParameter(f"--jsonl and {name} exclude each other: rows come from stdin, answers are JSON")


def _refuse_beside_trace(given: Mapping[str, bool], readout: Readout) -> None:
    both = {**given, f"--readout {readout}": readout is Readout.GENERATE}
    for name in (name for name, is_there in both.items() if is_there):
        raise typer.BadParameter(f"--trace and {name} exclude each other: a trace is read behind every block")


def _form(as_json: bool, raw: bool) -> Form:
    if as_json and raw:
        raise typer.BadParameter("--json and --raw exclude each other")
    if raw:
        return Form.RAW
    return Form.JSON if as_json else Form.PEOPLE
