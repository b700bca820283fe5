"""Which rows a run is scored on: `--eval FILE`, or `[eval]` in a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rim_edge.train.bounds import whole


@dataclass(frozen=True)
class EvalFile:
    """A file of rows that are scored."""

    path: Path
    """.jsonl or .txt, or either with .gz, as training data."""
    rows: int = 1_000
    """The first so many are scored; each takes a pass for every number of blocks, behind every stage."""

    def __post_init__(self) -> None:
        whole("eval", "rows", self.rows, 1)


def parse_eval_option(text: str) -> EvalFile:
    """Return the file of `--eval FILE` or `--eval FILE=ROWS`. Raises CurriculumError for 0 rows."""
    path, sign, rows = text.rpartition("=")
    if sign and rows.isdecimal() and not Path(text).exists():
        return EvalFile(Path(path), int(rows))
    return EvalFile(Path(text))
