"""The files that a run reads: training data, and rows that are scored."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rim_edge.recipe.bounds import SettingError, positive, shown, whole

_NUMBER = re.compile(r"[+-]?[0-9]*\.?[0-9]+")


class BadRows(StrEnum):
    """What happens to a row that cannot be used."""

    REFUSE = "refuse"
    """The first one ends the run before training."""
    SKIP = "skip"
    """They are counted, and the first one is reported."""


class LeakedRows(StrEnum):
    """What happens to training rows whose question is scored as well (test-set contamination)."""

    KEEP = "keep"
    """They are trained on; the run says how many scored questions are in the training data."""
    DROP = "drop"
    """They are left out of training, and counted."""


class StepForm(StrEnum):
    """What one step of a written solution is."""

    EXPRESSIONS = "expressions"
    """A calculator annotation, brackets included: `<<48/2=24>>`, as in GSM8K-Aug."""
    LINES = "lines"
    """A line with some text; calculator annotations are dropped from it."""
    SENTENCES = "sentences"
    """What ends in a full stop, a question or exclamation mark before white space; line breaks end one too."""


@dataclass(frozen=True)
class DataFile:
    """One file of a mixture."""

    path: Path
    """.jsonl or .txt (GSM8K-Aug's lines), or either with .gz."""
    weight: float | None = None
    """Its share of the examples drawn, in relation to the other files' weights. None: every row counts alike."""
    steps: StepForm | None = None
    """What a step is where steps come as text; None: expressions in GSM8K's solutions, lines elsewhere."""

    def __post_init__(self) -> None:
        _usable_path("data", self.path)
        if self.weight is not None:
            positive("data", "weight", self.weight)


@dataclass(frozen=True)
class EvalFile:
    """A file of rows that are scored."""

    path: Path
    """.jsonl or .txt, or either with .gz, as training data."""
    rows: int = 1_000
    """How many rows are scored, in order; each takes a pass for every number of blocks, after every stage."""

    def __post_init__(self) -> None:
        _usable_path("eval", self.path)
        whole("eval", "rows", self.rows, 1)


def _usable_path(place: str, path: Path) -> None:
    """Raise SettingError for a path that names no file: an empty one, or one with a NUL."""
    if path == Path() or "\0" in str(path):
        raise SettingError(place, "path", shown(str(path) if path != Path() else ""), "the path of a file")


def parse_data_option(text: str) -> DataFile:
    """Return the file of `--data FILE` or `--data FILE=WEIGHT`. Raises CurriculumError for a weight of 0."""
    path, sign, weight = text.rpartition("=")
    if sign and _NUMBER.fullmatch(weight) and not Path(text).exists():
        return DataFile(Path(path), float(weight))
    return DataFile(Path(text))


def parse_eval_option(text: str) -> EvalFile:
    """Return the file of `--eval FILE` or `--eval FILE=ROWS`. Raises CurriculumError for 0 rows."""
    path, sign, rows = text.rpartition("=")
    if sign and rows.isdecimal() and not Path(text).exists():
        return EvalFile(Path(path), int(rows))
    return EvalFile(Path(text))
