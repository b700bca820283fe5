"""Writes GSM8K's rows: problems of two or three equations, which are the steps, and a number as the answer."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from experiments.rows import write_rows
from rim_edge.data.files import read_file
from rim_edge.recipe.inputs import BadRows, DataFile, StepForm

STEPS = (2, 3)
"""How many equations a problem may take. Few, because a processor trains some hundred tokens a second."""
CHARACTERS = 320
"""Of a problem at most."""
TRAIN, DEV, TEST = 1_600, 40, 200
"""As many training rows as the recipe draws, so that none comes twice; DEV are others of the same file."""


def write_files(folder: Path, seeds: Sequence[int], data: Path) -> None:
    """Write whatever is not there yet, from a folder with GSM8K's `train.jsonl.gz` and `test.jsonl.gz`."""
    del seeds
    for name, file, first, last in (
        ("train", "train", 0, TRAIN),
        ("dev", "train", TRAIN, TRAIN + DEV),
        ("test", "test", 0, TEST),
    ):
        rows = itertools.islice(problems(data / f"{file}.jsonl.gz"), first, last)
        write_rows(folder / f"{name}.jsonl.gz", rows)


def problems(file: Path) -> Iterator[dict[str, object]]:
    """Give the rows of a file that are short enough, in its order. Raises DataError."""
    for example in read_file(DataFile(file, steps=StepForm.EXPRESSIONS), BadRows.REFUSE).examples:
        steps = [step.strip("<>") for step in example.steps]
        if len(steps) in STEPS and len(example.question) <= CHARACTERS:
            yield {"question": example.question, "steps": steps, "answer": example.answer}
