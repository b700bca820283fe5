"""Answer a file of questions in batches and count the right ones.

    python examples/many.py path/to/bundle questions.jsonl

Rows may have any of the forms in docs/rows.md: ours, MedQA's, MedMCQA's, MMLU's, ARC's, ….
"""

import sys
from pathlib import Path

from rim_runtime import Engine, Progress, RimError, read_rows


def show(step: Progress) -> None:
    """Say each slow step once; a window would draw `step.share`."""
    if not step.done:
        print(step.text, file=sys.stderr)


def main(bundle: str, file: str) -> None:
    """Ask every row, and compare letters where a row has one."""
    rows = read_rows(Path(file))
    with Engine.load(bundle, progress=show) as engine:
        answers = engine.ask_many([row.question for row, _ in rows])
    letters = [(right, answer.letter) for (_, right), answer in zip(rows, answers, strict=True) if right]
    print(f"{sum(right == letter for right, letter in letters)} of {len(letters)} right")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: many.py path/to/bundle questions.jsonl")
    try:
        main(*sys.argv[1:])
    except RimError as error:
        sys.exit(" ".join([f"error: {error}", *getattr(error, "__notes__", ())]))
