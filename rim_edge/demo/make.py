"""Make the demo that ships inside the package: train it, write its questions, export its bundle.

    python -m rim_edge.demo.make [--out DIR]

Seeded from end to end. With one thread the same machine gives the same weights.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rim_edge.demo.puzzles import fresh_puzzles

HERE = Path(__file__).parent
SEED = 0
"""Of the weights and the training puzzles."""
QUESTIONS_SEED = 3_000
"""Of the certificate's questions; training draws from a stream of its own, the accuracy uses seed 2,000."""
QUESTIONS_COUNT = 256
"""How many of them."""


def make_checkpoint(target: Path) -> None:
    """Train the demo preset into a new folder, on one thread so that the result repeats."""
    from rim_edge.train.job import Job, run_job
    from rim_edge.train.presets import DEMO

    run_job(Job(DEMO, target, seed=SEED, threads=1), lambda step: None)


def write_questions(target: Path) -> None:
    """Write the certificate's questions: fresh puzzles as rows {"question", "answer"}."""
    puzzles = fresh_puzzles(QUESTIONS_COUNT, QUESTIONS_SEED)
    rows = [{"question": puzzle.question, "answer": puzzle.answer} for puzzle in puzzles]
    target.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def make_bundle(checkpoint: Path, target: Path) -> None:
    """Export the checkpoint to the int8 bundle that `ask` falls back on."""
    raise NotImplementedError(f"export {checkpoint} to {target}")


def main() -> None:
    """Make checkpoint, questions and bundle in one folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE, help="the folder (default: this package)")
    folder: Path = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    make_checkpoint(folder / "checkpoint")
    write_questions(folder / "questions.jsonl")
    make_bundle(folder / "checkpoint", folder / "bundle")


if __name__ == "__main__":
    main()
