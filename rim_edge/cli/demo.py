"""`rim-edge demo`: fresh puzzles for the embedded bundle, its answers, the right answers, and the time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rim_runtime.engines.names import EngineName

from rim_edge.cli.options import EngineOption, JsonOption, listed
from rim_edge.cli.output import console, note, print_json
from rim_edge.cli.progress import Advance, counted
from rim_edge.puzzles.puzzle import Family

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rim_runtime.answer import Answer
    from rim_runtime.engine import Engine

    from rim_edge.puzzles.puzzle import Puzzle

    Answered = Sequence[tuple[Puzzle, Answer]]

SHOWN = 10
"""Puzzles that are shown one by one; of more, the summary alone."""
_AT_ONCE = 256
"""Puzzles that are asked together, so that the progress moves."""


def demo(
    count: Annotated[int, typer.Option("--count", "-n", min=1, metavar="N", help="How many puzzles.")] = len(
        Family
    ),
    family: Annotated[
        Family | None,
        typer.Option("--family", metavar="NAME", help=f"{listed(Family)}.", show_default="all in turn"),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="N", help="The same seed gives the same puzzles.", show_default="new ones"),
    ] = None,
    engine: EngineOption = EngineName.AUTO,
    show_all: Annotated[
        bool, typer.Option("--all", help=f"Show each puzzle of more than {SHOWN}, not the summary alone.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Watch the embedded toy model answer puzzles."""
    import random

    from rim_runtime.bundle.names import DEMO, find_bundle

    from rim_edge.cli.opening import load_engine
    from rim_edge.puzzles.fresh import fresh_puzzles

    drawn = random.randrange(1_000_000, 1_000_000_000) if seed is None else seed
    puzzles = fresh_puzzles(count, drawn, family)
    with load_engine(find_bundle(DEMO), engine) as opened, counted("answering", 2 * count) as advance:
        answered = _ask(opened, puzzles, opened.manifest.prompt.blocks, advance)
        controls = _ask(opened, puzzles, 0, advance)
    if as_json:
        print_json(_result(answered, controls))
        return
    if seed is None:
        chosen = "" if family is None else f" --family {family}"
        note(f"these are fresh; see them again with: rim-edge demo --count {count}{chosen} --seed {drawn}")
    if count <= SHOWN or show_all:
        for puzzle, answer in answered:
            _print(puzzle, answer)
    _summarize(answered, controls)


def _ask(engine: Engine, puzzles: Sequence[Puzzle], blocks: int, advance: Advance) -> Answered:
    from rim_runtime.question import Question

    answered: list[tuple[Puzzle, Answer]] = []
    for start in range(0, len(puzzles), _AT_ONCE):
        part = puzzles[start : start + _AT_ONCE]
        answers = engine.ask_many([Question(puzzle.question) for puzzle in part], blocks=blocks)
        answered += zip(part, answers, strict=True)
        advance(len(part))
    return answered


def _right(answered: Answered) -> int:
    return sum(puzzle.answer == answer.letter for puzzle, answer in answered)


def _by_family(answered: Answered) -> dict[Family, Answered]:
    asked = {family: [pair for pair in answered if pair[0].family is family] for family in Family}
    return {family: pairs for family, pairs in asked.items() if pairs}


def _result(answered: Answered, controls: Answered) -> dict[str, Any]:
    from rim_edge.evaluation.scores import Score
    from rim_edge.puzzles.fresh import guess_share

    count = len(answered)
    families = _by_family(answered).items()
    return {
        "n": count,
        "accuracy": _right(answered) / count,
        "accuracy_blocks_0": _right(controls) / count,
        "guess": guess_share(puzzle for puzzle, _ in answered),
        "families": {family: Score(_right(pairs), len(pairs)).to_json() for family, pairs in families},
        "puzzles": [
            {
                "family": puzzle.family,
                "question": puzzle.question,
                "answer": puzzle.answer,
                "letter": answer.letter,
                "probabilities": answer.probabilities,
            }
            for puzzle, answer in answered
        ],
    }


def _print(puzzle: Puzzle, answer: Answer) -> None:
    from rich.text import Text

    from rim_edge.cli.show.numbers import milliseconds, points
    from rim_edge.cli.show.wrap import print_wrapped

    out = console()
    text, options = puzzle.text_and_options
    out.print()
    print_wrapped(out, text)
    if options:
        print_wrapped(out, "   ".join(options))
    right = puzzle.answer == answer.letter
    verdict = ("right", "green") if right else (f"wrong, it is {puzzle.answer}", "red")
    rest = (f"   leads by {points(answer.lead)} · {milliseconds(answer.latency_ms)}", "dim")
    said = f"  {answer.choice}" if answer.choice else ""
    out.print()
    print_wrapped(out, Text.assemble((answer.letter, "bold"), said, "   ", verdict, rest))


def _summarize(answered: Answered, controls: Answered) -> None:
    from rich.text import Text

    from rim_edge.cli.show.numbers import count as counted_as
    from rim_edge.cli.show.wrap import print_wrapped
    from rim_edge.puzzles.fresh import guess_share

    count, first = len(answered), answered[0][1]
    guess = guess_share(puzzle for puzzle, _ in answered) * count
    out = console()
    out.print()
    print_wrapped(
        out,
        f"{_right(answered):,} of {count:,} right with {counted_as(first.blocks, 'memory block')}, "
        f"{_right(controls):,} with none (a guess: {guess:,.1f}).",
    )
    families = _by_family(answered)
    if count > len(families) > 1:
        shares = (f"{family} {_right(pairs):,} of {len(pairs):,}" for family, pairs in families.items())
        print_wrapped(out, " · ".join(shares))
    print_wrapped(out, Text(f"{first.bundle} · {first.engine} · {first.precision}", "dim"))
    out.print()
