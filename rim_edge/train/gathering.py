"""From files of rows to a source of examples, and what was left out on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rim_edge.train.data_files import ReadFile
from rim_edge.train.encode import ExampleEncoder
from rim_edge.train.errors import DataError
from rim_edge.train.limits import fitting
from rim_edge.train.recipe import Recipe
from rim_edge.train.sources import ExampleSource, MixtureSource, RowSource


@dataclass(frozen=True)
class FileReport:
    """What became of a file's rows."""

    name: str
    """The file's name."""
    used: int
    """Rows that are trained on."""
    skipped: int
    """Bad rows, left out with --skip-bad."""
    first_bad: str | None
    """Why the first of them is bad."""
    dropped: Mapping[str, int]
    """Rows over a limit, by reason."""


@dataclass(frozen=True)
class Gathered:
    """Examples and their report."""

    source: ExampleSource
    """Gives them."""
    reports: tuple[FileReport, ...]
    """One a file."""


def gather(
    files: Sequence[ReadFile], encoder: ExampleEncoder, recipe: Recipe, positions: int, seed: int
) -> Gathered:
    """Leave out what is too long, and make one source of what is left.

    Raises DataError where nothing is left of a file, and where some files have a weight and others have none.
    """
    fits = [fitting(file.examples, encoder, recipe.curriculum, recipe.limits, positions) for file in files]
    reports = [
        FileReport(file.file.path.name, len(fit.examples), file.skipped, file.first_bad, fit.dropped)
        for file, fit in zip(files, fits, strict=True)
    ]
    for file, report in zip(files, reports, strict=True):
        if not report.used:
            reasons = ", ".join(f"{count} {reason}" for reason, count in report.dropped.items())
            raise DataError(f"No row of {file.file.path} fits the limits: {reasons}. Raise them ([limits]).")
    parts = [fit.examples for fit in fits]
    weights = [file.file.weight for file in files]
    if all(weight is None for weight in weights):
        return Gathered(RowSource([example for part in parts for example in part], seed), tuple(reports))
    given = [weight for weight in weights if weight is not None]
    if len(given) < len(weights):
        raise DataError(f"{len(given)} of {len(weights)} data files have a weight, expected all or none of them.")
    return Gathered(MixtureSource(parts, given, seed), tuple(reports))
