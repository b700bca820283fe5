"""Make the demo that ships inside the package: train it, write its questions, export its bundle.

    python -m rim_edge.demo.make [--out DIR] [--bundle-only]

Seeded from end to end. With one thread the same machine gives the same weights.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

from rim_edge.demo.puzzles import fresh_puzzles

HERE = Path(__file__).parent
CHECKPOINT, QUESTIONS, BUNDLE = "checkpoint", "questions.jsonl", "bundle"
SEED = 0
"""Of the weights and the training puzzles."""
QUESTIONS_SEED = 3_000
"""Of the certificate's questions; training draws from a stream of its own, the accuracy uses seed 2,000."""
QUESTIONS_COUNT = 256
"""How many of them."""

CARD = """---
license: apache-2.0
---
# rim-edge demo

A toy: a Qwen3-architecture model of 0.8 M parameters, trained from scratch by `rim-edge train --preset demo`. It
solves one kind of puzzle (eight rooms, one door out of each, walk through three doors) and knows nothing else.
Its tokenizer takes a told fact as one token. It shows the path from training to answer, not what RiM can do.
"""


def make_checkpoint(target: Path) -> None:
    """Train the demo preset into a new folder, on one thread so that the result repeats."""
    from rim_edge.train.job import Job, run_job
    from rim_edge.train.presets import DEMO

    run_job(Job(DEMO, target, seed=SEED, threads=1))


def write_papers(checkpoint: Path) -> None:
    """Put licence and card beside the weights; the bundle carries them on."""
    shutil.copyfile(HERE.parents[1] / "LICENSE", checkpoint / "LICENSE")
    (checkpoint / "README.md").write_text(CARD, encoding="utf-8")


def write_questions(target: Path) -> None:
    """Write the certificate's questions: fresh puzzles as rows {"question", "answer"}."""
    puzzles = fresh_puzzles(QUESTIONS_COUNT, QUESTIONS_SEED)
    rows = [{"question": puzzle.question, "answer": puzzle.answer} for puzzle in puzzles]
    target.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def make_bundle(checkpoint: Path, questions: Path, target: Path) -> None:
    """Export the checkpoint to the int8 bundle that `ask` falls back on, certified on puzzles."""
    import rim_export

    rim_export.export(checkpoint, target, rim_export.ExportOptions(certify=questions, name="demo"))


def main() -> None:
    """Make checkpoint, questions and bundle in a scratch folder, then put them in their place."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE, help="the folder (default: this package)")
    parser.add_argument("--bundle-only", action="store_true", help="export the checkpoint that is there again")
    options = parser.parse_args()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".making-") as scratch:
        made = Path(scratch)
        checkpoint = out / CHECKPOINT
        if not options.bundle_only:
            checkpoint = made / CHECKPOINT
            make_checkpoint(checkpoint)
        write_papers(checkpoint)
        write_questions(made / QUESTIONS)
        make_bundle(checkpoint, made / QUESTIONS, made / BUNDLE)
        for path in sorted(made.iterdir()):
            _replace(path, out / path.name)


def _replace(source: Path, target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    source.replace(target)


if __name__ == "__main__":
    main()
