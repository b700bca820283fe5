"""`rim-edge eval`: accuracy of a bundle or a checkpoint at every number of memory blocks, with its controls."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rim_runtime.engines.names import EngineName

from rim_edge.cli.options import BundleOption, EngineOption, JsonOption
from rim_edge.cli.output import console, note, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rim_edge.evaluation.items import Item
    from rim_edge.evaluation.scores import Report, Score


def evaluate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Rows with answers (.jsonl, .txt, or .gz).")],
    blocks: Annotated[
        str | None,
        typer.Option(
            "--blocks",
            metavar="LOW..HIGH",
            help="Numbers of memory blocks, one after another.",
            show_default="0..K",
        ),
    ] = None,
    bundle: BundleOption = None,
    engine: EngineOption = EngineName.AUTO,
    model: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A checkpoint instead of a bundle: shuffled blocks too.")
    ] = None,
    chain: Annotated[
        int | None,
        typer.Option(min=1, metavar="TOKENS", help="With --model: written steps too, of at most so many tokens."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="The first N rows only.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out bad rows, and count them.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of which question's blocks another one gets.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Score answers with 0..K memory blocks, each with its 95 % Wilson interval."""
    from rim_edge.data.files import read_file
    from rim_edge.evaluation.items import items_of
    from rim_edge.recipe.inputs import BadRows, DataFile

    if model is not None and bundle is not None:
        raise typer.BadParameter("--model and --bundle exclude each other")
    if chain is not None and model is None:
        raise typer.BadParameter("--chain needs --model: a bundle answers in one pass and writes nothing")
    read = read_file(DataFile(file), BadRows.SKIP if skip_bad else BadRows.REFUSE)
    if read.skipped:
        note(f"{file.name}: {read.skipped} bad rows skipped, the first: {read.first_bad}")
    items = items_of(read.examples)[:limit]
    if model is None:
        report = _of_bundle(items, blocks, bundle, engine)
    else:
        report = _of_checkpoint(items, blocks, model, chain, seed)
    if as_json:
        print_json({"file": file.name, **report.to_json()})
    else:
        _print(report)


def parse_blocks(text: str | None, most: int) -> range:
    """Return the numbers of blocks of `LOW..HIGH` or one number; None means 0..K. Raises QuestionError."""
    from rim_runtime.errors import QuestionError

    match = re.fullmatch(r"(\d+)(?:\.\.(\d+))?", f"0..{most}" if text is None else text)
    if match is None:
        raise QuestionError(f"--blocks is {text!r}, expected a number or LOW..HIGH, such as 0..{most}.")
    low, high = int(match[1]), int(match[2] or match[1])
    if not low <= high <= most:
        raise QuestionError(f"--blocks is {text!r}, expected numbers from 0 to {most}, the lower one first.")
    return range(low, high + 1)


def _of_bundle(items: Sequence[Item], blocks: str | None, bundle: str | None, engine: EngineName) -> Report:
    from rim_runtime.bundle.names import resolve_bundle
    from rim_runtime.errors import QuestionError
    from rim_runtime.question import Question

    from rim_edge.cli.opening import open_engine
    from rim_edge.evaluation.scores import Read, report

    for place, item in enumerate(items, start=1):
        if not item.letters:
            raise QuestionError(
                f"The answer of question {place} is {item.answer!r}, expected a letter: a bundle reads letters. "
                "Evaluate the checkpoint instead (--model DIR)."
            )
    with open_engine(resolve_bundle(bundle).path, engine) as opened:
        questions = [Question(item.question) for item in items]
        budgets = parse_blocks(blocks, opened.manifest.prompt.blocks)
        read = {count: [a.letter for a in opened.ask_many(questions, blocks=count)] for count in budgets}
    return report(items, Read(read))


def _of_checkpoint(items: Sequence[Item], blocks: str | None, model: Path, chain: int | None, seed: int) -> Report:
    from rim_edge.extras import require_extra

    require_extra("train", "Evaluating a checkpoint")
    from rim_edge.evaluation.checkpoint_answers import answers_read, chains_read, open_checkpoint
    from rim_edge.evaluation.scores import Read, report
    from rim_edge.evaluation.shuffled_blocks import partners, shuffled_letters

    loaded, encoder = open_checkpoint(model)
    budgets = parse_blocks(blocks, encoder.contract.blocks)
    read = {count: answers_read(loaded, encoder, items, count) for count in budgets}
    letters, shuffled = [item for item in items if item.letters], None
    if len(letters) > 1 and budgets[-1]:
        shuffled = shuffled_letters(loaded, encoder, letters, partners(len(letters), seed), budgets[-1])
    chains = None if chain is None else chains_read(loaded, encoder, items, chain)
    return report(items, Read(read, shuffled, chains))


def _print(report: Report) -> None:
    if report.letters is None or report.open is None:
        _print_scores(report, "questions")
        return
    _print_scores(report.letters, "questions with letters")
    _print_scores(report.open, "open questions")


def _print_scores(report: Report, asked: str) -> None:
    out = console()
    out.print(f"{report.majority.n} {asked}, 95 % Wilson intervals")
    for blocks, score in report.by_blocks.items():
        out.print(_line(f"{blocks} blocks" if blocks != 1 else "1 block", score))
    out.print(_line("most frequent answer", report.majority))
    if report.any_block:
        out.print(_line("any block", report.any_block) + "   an oracle: nobody can choose like that")
    if report.shuffled:
        out.print(_line("another question's blocks", report.shuffled))
    if report.chain:
        out.print(_line("written steps", report.chain))


def _line(name: str, score: Score) -> str:
    low, high = score.interval
    return f"  {name:<26}{score.accuracy:>7.1%}   {low:.1%} to {high:.1%}"
