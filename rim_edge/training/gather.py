"""From files of rows to a source of examples, with a report of what was left out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rim_edge.data.files import ReadFile
from rim_edge.data.rows import Example
from rim_edge.data.sources import ExampleSource, MixtureSource, RowSource
from rim_edge.errors import DataError
from rim_edge.evaluation.leaks import Leaks
from rim_edge.methods.method import Method
from rim_edge.recipe.curriculum import Curriculum
from rim_edge.recipe.recipe import Limits, Recipe
from rim_edge.recipe.switches import Objective


@dataclass(frozen=True)
class FileReport:
    """What happened to a file's rows."""

    name: str
    """The file's name."""
    used: int
    """Rows that are trained on."""
    skipped: int
    """Bad rows, left out with --skip-bad."""
    first_bad: str | None
    """Why the first of them is bad."""
    dropped: Mapping[str, int]
    """Rows that are over a limit, or scored as well, by reason."""
    share: float
    """The share of all examples that are drawn from it."""
    ignored: tuple[str, ...] = ()
    """Keys of its rows that hold something and are not read."""


@dataclass(frozen=True)
class Gathered:
    """Examples and their report."""

    source: ExampleSource
    """Gives the examples."""
    reports: tuple[FileReport, ...]
    """One per file."""
    longest: int = 0
    """Tokens of the longest packed row, in the longest of the stages."""

    @property
    def rows(self) -> int:
        """Rows that are trained on, of all files together: an epoch."""
        return sum(report.used for report in self.reports)


def gather(
    files: Sequence[ReadFile],
    method: Method[Any],
    recipe: Recipe,
    positions: int,
    seed: int,
    *,
    scored: ReadFile | None = None,
    doing: Callable[[str], None] = lambda text: None,
) -> Gathered:
    """Leave out what is too long, and what is in the file `scored`, and make one source of what is left.

    Raises DataError where nothing is left of a file, and where some files have a weight and others have none.
    """
    leaks = None if scored is None else Leaks.of(scored)
    fits: list[Fitting] = []
    for file in files:
        name = file.file.path.name
        clean, leaked = (file.examples, {}) if leaks is None else leaks.left_out(file.examples)
        fit = fitting(
            clean, method, recipe.curriculum, recipe.limits, positions, _counted(doing, name, len(clean))
        )
        fits.append(replace(fit, dropped={**leaked, **fit.dropped}))
        if not fit.examples:
            reasons = ", ".join(f"{count} {reason}" for reason, count in fits[-1].dropped.items())
            remedy = "Raise them ([limits])" if fit.dropped else "Name other rows, or leave --drop-leaked out"
            raise DataError(f"No row of {file.file.path} fits the limits: {reasons}. {remedy}.")
    parts, given = [fit.examples for fit in fits], _weights(files)
    weights = given or [float(len(part)) for part in parts]
    reports = tuple(
        FileReport(
            file.file.path.name,
            len(fit.examples),
            file.skipped,
            file.first_bad,
            fit.dropped,
            weight / sum(weights),
            file.ignored,
        )
        for file, fit, weight in zip(files, fits, weights, strict=True)
    )
    longest = longest_row([example for part in parts for example in part], method, recipe.curriculum)
    if given:
        return Gathered(MixtureSource(parts, given, seed), reports, longest)
    return Gathered(RowSource([example for part in parts for example in part], seed), reports, longest)


def _counted(doing: Callable[[str], None], name: str, rows: int) -> Callable[[int], None]:
    def told(done: int) -> None:
        doing(f"measuring the rows of {name}: {done:,} of {rows:,}")

    return told


def _weights(files: Sequence[ReadFile]) -> list[float]:
    """Return the files' weights; none where no file has one. Raises DataError where only some have."""
    given = [file.file.weight for file in files if file.file.weight is not None]
    if given and len(given) < len(files):
        raise DataError(f"{len(given)} of {len(files)} data files have a weight, expected all or none of them.")
    if not math.isfinite(sum(given)):
        raise DataError("The data files' weights add up to infinity, expected smaller ones: only ratios matter.")
    return given


_TOLD_EVERY = 1_000


@dataclass(frozen=True)
class Fitting:
    """The examples that fit, and why others do not."""

    examples: tuple[Example, ...]
    """Those that fit, in order."""
    dropped: Mapping[str, int]
    """How many do not fit, by reason."""


def fitting(
    examples: Sequence[Example],
    method: Method[Any],
    curriculum: Curriculum,
    limits: Limits,
    positions: int,
    told: Callable[[int], None] = lambda done: None,
) -> Fitting:
    """Leave out what is over the limits, or beyond the model's `positions`; `told` hears how many are done."""
    kept: list[Example] = []
    dropped: Counter[str] = Counter()
    for number, example in enumerate(examples):
        if number % _TOLD_EVERY == 0:
            told(number)
        if reason := _reason(example, method, curriculum, limits, positions):
            dropped[reason] += 1
        else:
            kept.append(example)
    return Fitting(tuple(kept), dict(dropped))


def longest_row(examples: Sequence[Example], method: Method[Any], curriculum: Curriculum) -> int:
    """Return the tokens of the longest row in any stage; only what may be the longest is tokenized."""
    longest = 0
    for example in sorted(examples, key=method.longest, reverse=True):
        if method.longest(example) <= longest:
            break
        samples = (method.sample(example, stage) for stage in curriculum.stages)
        longest = max(longest, *map(method.length, samples))
    return longest


def _reason(
    example: Example, method: Method[Any], curriculum: Curriculum, limits: Limits, positions: int
) -> str | None:
    if len(example.steps) > limits.steps:
        return f"more than {limits.steps} steps"
    if method.longest(example) <= min(limits.tokens, positions):
        return None
    told = example.steps
    if example.spans and any(stage.objective is Objective.TEXT for stage in curriculum.stages):
        told = tuple(span.text for span in example.spans)
    texts = (example.question, *told, example.answer)
    if sum(map(method.encoder.least_tokens, texts)) > limits.tokens:
        return f"more than {limits.tokens} tokens"
    samples = [method.sample(example, stage) for stage in curriculum.stages]
    if max(map(method.length, samples)) > limits.tokens:
        return f"more than {limits.tokens} tokens"
    return (
        f"beyond the model's {positions} positions"
        if max(map(method.last_position, samples)) > positions
        else None
    )
