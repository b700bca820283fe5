"""`rim-edge demo`: fresh puzzles for the embedded bundle, its answers, the truth, and the time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rim_edge.cli.options import EngineOption, JsonOption
from rim_edge.cli.output import console, note, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rim_runtime.answer import Answer

    from rim_edge.demo.puzzles import Puzzle


def demo(
    count: Annotated[int, typer.Option("--count", "-n", min=1, metavar="N", help="How many puzzles.")] = 3,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="S", help="The same seed gives the same puzzles. [default: new ones]"),
    ] = None,
    engine: EngineOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Watch the embedded toy model answer puzzles."""
    import random

    from rim_runtime.answer import Question

    from rim_edge.bundles import DEMO, Origin, ResolvedBundle, find_bundle
    from rim_edge.cli.opening import open_engine
    from rim_edge.demo.puzzles import fresh_puzzles

    drawn = random.randrange(1_000_000, 1_000_000_000) if seed is None else seed
    puzzles = fresh_puzzles(count, drawn)
    questions = [Question(puzzle.question) for puzzle in puzzles]
    with open_engine(ResolvedBundle(find_bundle(DEMO), Origin.EXPLICIT), engine) as opened:
        answers = opened.ask_many(questions)
        controls = opened.ask_many(questions, blocks=0)
    accuracy, control = _accuracy(puzzles, answers), _accuracy(puzzles, controls)
    if as_json:
        rows = [
            {"question": p.question, "answer": p.answer, "letter": a.letter, "probabilities": a.probabilities}
            for p, a in zip(puzzles, answers, strict=True)
        ]
        print_json({"n": count, "accuracy": accuracy, "accuracy_blocks_0": control, "puzzles": rows})
        return
    if seed is None:
        note(f"these are fresh; see them again with: rim-edge demo --count {count} --seed {drawn}")
    _print(puzzles, answers)
    _summarize(answers, accuracy, control)


def _accuracy(puzzles: Sequence[Puzzle], answers: Sequence[Answer]) -> float:
    right = sum(puzzle.answer == answer.letter for puzzle, answer in zip(puzzles, answers, strict=True))
    return right / len(puzzles)


def _print(puzzles: Sequence[Puzzle], answers: Sequence[Answer]) -> None:
    from textwrap import fill

    from rich.text import Text

    from rim_edge.cli.answer_view import milliseconds, percent

    out = console()
    for puzzle, answer in zip(puzzles, answers, strict=True):
        out.print("\n" + fill(puzzle.question, out.width - 2, initial_indent="  ", subsequent_indent="  "))
        right = puzzle.answer == answer.letter
        verdict = ("right", "green") if right else (f"wrong, it is {puzzle.answer}", "red")
        rest = (f"   confidence {percent(answer.confidence)} · {milliseconds(answer.latency_ms)}", "dim")
        out.print(Text.assemble("\n  ", (answer.letter, "bold"), "  ", verdict, rest))


def _summarize(answers: Sequence[Answer], accuracy: float, control: float) -> None:
    from rich.text import Text

    count = len(answers)
    first = answers[0]
    out = console()
    out.print(f"\n  {round(accuracy * count)} of {count} right with {first.blocks} memory blocks, "
              f"{round(control * count)} of {count} with none (a guess: 1 of 8).")  # fmt: skip
    out.print(Text(f"  {first.bundle} · {first.engine} · {first.precision}\n", "dim"))
