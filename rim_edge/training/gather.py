"""From files of rows to a source of examples, with a report of what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rim_edge.data.files import ReadFile
from rim_edge.data.rows import Example
from rim_edge.data.sources import ExampleSource, MixtureSource, RowSource
from rim_edge.errors import DataError
from rim_edge.methods.rim.encode import ExampleEncoder
from rim_edge.methods.rim.packing import packed_length
from rim_edge.recipe.curriculum import Curriculum
from rim_edge.recipe.recipe import Limits, Recipe


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
    """Rows over a limit, by reason."""
    share: float
    """The share of all examples that are drawn from it."""


@dataclass(frozen=True)
class Gathered:
    """Examples and their report."""

    source: ExampleSource
    """Gives the examples."""
    reports: tuple[FileReport, ...]
    """One per file."""


def gather(
    files: Sequence[ReadFile], encoder: ExampleEncoder, recipe: Recipe, positions: int, seed: int
) -> Gathered:
    """Leave out what is too long, and make one source of what is left.

    Raises DataError where nothing is left of a file, and where some files have a weight and others have none.
    """
    fits = [fitting(file.examples, encoder, recipe.curriculum, recipe.limits, positions) for file in files]
    for file, fit in zip(files, fits, strict=True):
        if not fit.examples:
            reasons = ", ".join(f"{count} {reason}" for reason, count in fit.dropped.items())
            raise DataError(f"No row of {file.file.path} fits the limits: {reasons}. Raise them ([limits]).")
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
        )
        for file, fit, weight in zip(files, fits, weights, strict=True)
    )
    if given:
        return Gathered(MixtureSource(parts, given, seed), reports)
    return Gathered(RowSource([example for part in parts for example in part], seed), reports)


def _weights(files: Sequence[ReadFile]) -> list[float]:
    """Return the files' weights; none where no file has one. Raises DataError where only some have."""
    given = [file.file.weight for file in files if file.file.weight is not None]
    if given and len(given) < len(files):
        raise DataError(f"{len(given)} of {len(files)} data files have a weight, expected all or none of them.")
    return given


_ANSWER_END = 2
"""Tokens after an answer: the closing brace and the end of the turn."""


@dataclass(frozen=True)
class Fitting:
    """The examples that fit, and why others do not."""

    examples: tuple[Example, ...]
    """Those that fit, in order."""
    dropped: Mapping[str, int]
    """How many do not fit, by reason."""


def fitting(
    examples: Sequence[Example], encoder: ExampleEncoder, curriculum: Curriculum, limits: Limits, positions: int
) -> Fitting:
    """Leave out what is over the limits, or beyond the model's `positions`."""
    kept: list[Example] = []
    dropped: Counter[str] = Counter()
    for example in examples:
        if reason := _reason(example, encoder, curriculum, limits, positions):
            dropped[reason] += 1
        else:
            kept.append(example)
    return Fitting(tuple(kept), dict(dropped))


def longest_possible(example: Example, encoder: ExampleEncoder) -> int:
    """Return a number of tokens that no stage's packed row exceeds, without tokenizing.

    A token of byte-level BPE has a byte at least, and NFC lengthens UTF-8 by a factor of 3 at most (UAX #15).
    """
    contract = encoder.contract
    readouts = max(contract.blocks, len(example.steps) + 1)
    frame = contract.fixed_tokens + _bytes(contract.question_open) + _bytes(contract.question_close)
    said = readouts * (len(contract.block) + len(contract.prefix) + _ANSWER_END + 3 * _bytes(example.answer))
    return frame + said + 3 * _bytes(example.question) + sum(3 * _bytes(step) + 1 for step in example.steps)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _reason(
    example: Example, encoder: ExampleEncoder, curriculum: Curriculum, limits: Limits, positions: int
) -> str | None:
    if len(example.steps) > limits.steps:
        return f"more than {limits.steps} steps"
    if longest_possible(example, encoder) <= min(limits.tokens, positions):
        return None
    block = len(encoder.contract.block)
    samples = [encoder.sample(example, stage) for stage in curriculum.stages]
    if max(packed_length(sample, block) for sample in samples) > limits.tokens:
        return f"more than {limits.tokens} tokens"
    last = max(len(s.prompt) + r.after * block + len(r.ids) for s in samples for r in s.readouts)
    return f"beyond the model's {positions} positions" if last > positions else None
