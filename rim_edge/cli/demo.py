"""`rim-edge demo`: fresh puzzles for the embedded bundle, its answers, the right answers, and the time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rim_edge.cli.options import EngineOption, JsonOption
from rim_edge.cli.output import console, note, print_json
from rim_edge.puzzles.puzzle import Family

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rim_runtime.answer import Answer

    from rim_edge.puzzles.puzzle import Puzzle

    Answered = Sequence[tuple[Puzzle, Answer]]


def demo(
    count: Annotated[int, typer.Option("--count", "-n", min=1, metavar="N", help="How many puzzles.")] = len(
        Family
    ),
    family: Annotated[
        Family | None, typer.Option("--family", help="What the puzzles are about. [default: all in turn]")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="S", help="The same seed gives the same puzzles. [default: new ones]"),
    ] = None,
    engine: EngineOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Watch the embedded toy model answer puzzles."""
    import random

    from rim_runtime.bundle.names import DEMO, Origin, ResolvedBundle, find_bundle
    from rim_runtime.question import Question

    from rim_edge.cli.opening import open_engine
    from rim_edge.puzzles.fresh import fresh_puzzles

    drawn = random.randrange(1_000_000, 1_000_000_000) if seed is None else seed
    puzzles = fresh_puzzles(count, drawn, family)
    questions = [Question(puzzle.question) for puzzle in puzzles]
    with open_engine(ResolvedBundle(find_bundle(DEMO), Origin.EXPLICIT), engine) as opened:
        answered = list(zip(puzzles, opened.ask_many(questions), strict=True))
        controls = list(zip(puzzles, opened.ask_many(questions, blocks=0), strict=True))
    if as_json:
        print_json(_result(answered, controls))
        return
    if seed is None:
        chosen = "" if family is None else f" --family {family}"
        note(f"these are fresh; see them again with: rim-edge demo --count {count}{chosen} --seed {drawn}")
    for puzzle, answer in answered:
        _print(puzzle, answer)
    _summarize(answered, controls)


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
    from textwrap import fill

    from rich.text import Text

    from rim_edge.cli.show.answer import milliseconds, percent

    out = console()
    text, options = puzzle.text_and_options
    out.print("\n" + fill(text, out.width - 2, initial_indent="  ", subsequent_indent="  "))
    if options:
        out.print("  " + "   ".join(options))
    right = puzzle.answer == answer.letter
    verdict = ("right", "green") if right else (f"wrong, it is {puzzle.answer}", "red")
    rest = (f"   confidence {percent(answer.confidence)} · {milliseconds(answer.latency_ms)}", "dim")
    said = f"  {answer.choice}" if answer.choice else ""
    out.print(Text.assemble("\n  ", (answer.letter, "bold"), said, "   ", verdict, rest))


def _summarize(answered: Answered, controls: Answered) -> None:
    from rich.text import Text

    from rim_edge.puzzles.fresh import guess_share

    count, first = len(answered), answered[0][1]
    guess = guess_share(puzzle for puzzle, _ in answered) * count
    out = console()
    out.print(f"\n  {_right(answered)} of {count} right with {first.blocks} memory blocks, "
              f"{_right(controls)} with none (a guess: {guess:.1f}).")  # fmt: skip
    families = _by_family(answered)
    if count > len(families) > 1:
        shares = (f"{family} {_right(pairs)} of {len(pairs)}" for family, pairs in families.items())
        out.print("  " + " · ".join(shares))
    out.print(Text(f"  {first.bundle} · {first.engine} · {first.precision}\n", "dim"))
