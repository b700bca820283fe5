"""Make the demo that ships inside the package: train it, write its questions, export its bundle.

    python -m rim_edge.demo.make [--out DIR] [--bundle-only]
    python -m rim_edge.demo.make --out DIR --control ARM

Seeded from end to end. With one thread the same machine gives the same weights. A control is the same model of
another arm, to compare the demo with; it ships nowhere.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from operator import eq
from pathlib import Path

from rim_edge.evaluation.scores import Score
from rim_edge.puzzles.fresh import fresh_puzzles
from rim_edge.puzzles.puzzle import Family
from rim_edge.recipe.arms import Arm
from rim_edge.recipe.curriculum import Stage

HERE = Path(__file__).parent
CHECKPOINT, QUESTIONS, BUNDLE = "checkpoint", "questions.jsonl", "bundle"
SEED = 0
"""Seed of the weights and the training puzzles."""
QUESTIONS_SEED = 3_000
"""Seed of the certificate's questions; the run's accuracy uses seed 2,000. Training uses no held-out puzzle."""
QUESTIONS_COUNT = 256
"""How many of them."""
SCORED_SEED = 4_000
"""Seed of the puzzles that the model card's accuracy is measured on."""
SCORED_COUNT = 1_000
"""How many of them of each family."""

CARD = """---
license: apache-2.0
---
# rim-edge demo

A toy: a Qwen3-architecture model of {parameters:.1f} M parameters, trained from scratch by
`rim-edge train --preset demo`. It solves three kinds of puzzle in this wording, of four to eight rooms, people or
numbers, and knows nothing else. Options come in the order of their names or numbers: it never saw another. Of text
that is no puzzle, or a puzzle that nobody can solve, it was taught to be unsure. Its tokenizer takes a told fact
and an option as one token each. It shows the path from training to answer, not what RiM can do.

| family | an example | right on {count:,} puzzles it never saw |
| --- | --- | --- |
{rows}

With all memory blocks, 95 % Wilson intervals.
"""


def make_checkpoint(target: Path) -> None:
    """Train the demo preset into a new folder, on one thread so that the result repeats."""
    from rim_edge.recipe.presets import DEMO
    from rim_edge.training.job import Job
    from rim_edge.training.run import run_job

    run_job(Job(DEMO, target, seed=SEED, threads=1))


def make_control(target: Path, arm: Arm) -> None:
    """Train another arm of the demo preset into a new folder: on the same examples, in the most steps it allows.

    The demo ends its first stage by its loss, and the losses of two arms say nothing of each other. A run that was
    interrupted goes on.
    """
    from rim_edge.recipe.presets import DEMO
    from rim_edge.training.job import Job
    from rim_edge.training.run import run_job

    stages = tuple(_at_most(stage) for stage in DEMO.curriculum.stages)
    recipe = replace(DEMO, curriculum=replace(DEMO.curriculum, stages=stages))
    run_job(Job(recipe, target, seed=SEED, threads=1, arm=arm, resume=True))


def _at_most(stage: Stage) -> Stage:
    return stage if stage.extension is None else replace(stage, steps=stage.extension.at_most, extension=None)


def write_papers(checkpoint: Path) -> None:
    """Write licence, card and the families' scores beside the weights; the bundle copies licence and card."""
    shutil.copyfile(HERE.parents[1] / "LICENSE", checkpoint / "LICENSE")
    scores, parameters = score_families(checkpoint)
    (checkpoint / "README.md").write_text(card(scores, parameters), encoding="utf-8")
    told = json.loads((checkpoint / "training.json").read_text(encoding="utf-8"))
    told["accuracy_by_family"] = {family: score.to_json() for family, score in scores.items()}
    (checkpoint / "training.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def score_families(checkpoint: Path) -> tuple[dict[Family, Score], int]:
    """Return the checkpoint's scores on fresh puzzles of each family with all blocks, and its parameter count."""
    from rim_edge.evaluation.checkpoint_answers import letters_read, open_checkpoint
    from rim_edge.evaluation.items import Item

    model, encoder = open_checkpoint(checkpoint)
    scores = {}
    for family in Family:
        puzzles = fresh_puzzles(SCORED_COUNT, SCORED_SEED, family)
        items = [Item(puzzle.question, puzzle.answer, puzzle.letters) for puzzle in puzzles]
        read = letters_read(model, encoder, items, encoder.contract.blocks)
        scores[family] = Score(sum(map(eq, read, (item.answer for item in items))), len(items))
    return scores, sum(parameter.numel() for parameter in model.parameters())


def card(scores: Mapping[Family, Score], parameters: int) -> str:
    """Return the model card."""
    return CARD.format(
        parameters=parameters / 1e6, count=SCORED_COUNT, rows="\n".join(_row(*pair) for pair in scores.items())
    )


def _row(family: Family, score: Score) -> str:
    (puzzle,) = fresh_puzzles(1, 6, family)
    text, options = puzzle.text_and_options
    low, high = score.interval
    example = " ".join((text, *options)).replace("\n", " ")
    return f"| {family} | {example} **{puzzle.answer}** | {score.accuracy:.1%} ({low:.1%} to {high:.1%}) |"


def write_questions(target: Path) -> None:
    """Write the certificate's questions: fresh puzzles as rows."""
    puzzles = fresh_puzzles(QUESTIONS_COUNT, QUESTIONS_SEED)
    rows = [puzzle.row() for puzzle in puzzles]
    target.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def make_bundle(checkpoint: Path, questions: Path, target: Path) -> None:
    """Export the checkpoint to the int8 bundle that `ask` falls back on, with its trace, certified on puzzles."""
    import rim_export

    rim_export.export(checkpoint, target, rim_export.ExportOptions(certify=questions, name="demo", trace=True))


def main() -> None:
    """Make checkpoint, questions and bundle in a scratch folder, then move them into place."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE, help="the folder (default: this package)")
    parser.add_argument("--bundle-only", action="store_true", help="export the checkpoint that is there again")
    parser.add_argument("--control", type=Arm, choices=list(Arm), help="train this arm into --out/ARM, no more")
    options = parser.parse_args()
    from rim_edge.model.cpu import keep_freed_memory

    keep_freed_memory()
    out: Path = options.out
    if options.control:
        make_control(out / options.control, options.control)
        return
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
