"""What a run measures, and where everything that it makes lies."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from harness.place import BENCH, Place, our_environment, peer_environment

TREE = BENCH.parent
WORKERS = BENCH / "workers"
CHECKPOINT = TREE / "build" / "smollm2" / "checkpoint"
"""Made by examples/smollm2/make.py --checkpoint-only."""
TEXT = TREE.parent / "shared" / "data" / "gsm8k" / "test.jsonl.gz"
SOLUTIONS = TEXT.with_name("train.jsonl.gz")
SEED = 0
"""Of the rows of the RiM tokens, which this model lacks."""


@dataclass(frozen=True)
class Setting:
    """A run."""

    model: Path
    """The checkpoint, fp32."""
    text: Path
    """Rows of GSM8K, whose questions and solutions are the text."""
    solutions: Path
    """Other rows of GSM8K, which one row of the result is calibrated on."""
    work: Path
    """Folder of everything that is made."""
    comparators: Path
    """Folder of the comparators' environments."""
    tokens: int
    """Tokens of text, at least."""
    questions: int
    """Medical questions."""
    certified: int
    """Questions of each export's certificate, which is not the measurement."""
    rounds: int
    """Answers that a time is the median of."""

    @property
    def place(self) -> Place:
        """Where logs and made things go; the geometry plays no part here."""
        return Place(self.work, self.model, 0, 0)

    @property
    def environments(self) -> Place:
        """Where the comparators' environments are."""
        return Place(self.comparators, self.model, 0, 0)

    @property
    def rim_checkpoint(self) -> Path:
        """The checkpoint with RiM tokens, which everything is made of."""
        return self.work / "checkpoint"

    def made(self, name: str) -> Path:
        """Return the folder of what was made for one row."""
        return self.work / "made" / "".join(letter if letter.isalnum() else "-" for letter in name)

    def part(self, name: str) -> Path:
        """Return the file of one part's results."""
        return self.work / f"{name}.json"


def worker_environment() -> dict[str, str]:
    """Environment of a process with packages of its own: it finds `serving`, and nothing of ours."""
    return {**peer_environment(), "PYTHONPATH": str(WORKERS)}


def our_worker_environment(place: Place) -> dict[str, str]:
    """Environment of a process of this interpreter: it finds `serving`, and what this process finds."""
    ours = our_environment(place.home)
    return ours | {"PYTHONPATH": os.pathsep.join(filter(None, (str(WORKERS), ours.get("PYTHONPATH"))))}
