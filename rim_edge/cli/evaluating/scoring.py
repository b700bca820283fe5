"""Ask the rows of a file, and keep what was answered."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rim_edge.cli.output import note

if TYPE_CHECKING:
    from rim_edge.cli.show.evaluation import Scored
    from rim_edge.evaluation.asking import Asked, Row, Selection
    from rim_edge.evaluation.reading import Reader
    from rim_edge.evaluation.report.about import About
    from rim_edge.evaluation.report.saved import SavedRows
    from rim_edge.evaluation.way import Manner


@dataclass(frozen=True)
class Wanted:
    """What is to be found out of a file's rows."""

    file: Path
    """The rows."""
    rows: tuple[Row, ...]
    """The good ones."""
    manner: Manner
    """How they are asked."""
    blocks: str | None = None
    """`LOW..HIGH` or one number; None: all."""
    chain: int | None = None
    """Tokens of written steps beside a checkpoint's answers."""
    each_block: bool = False
    """Whether each of a checkpoint's blocks alone is exchanged for another question's, too."""
    seed: int = 0
    """Says which question's blocks another one gets."""
    pass_at: tuple[int, ...] = ()
    """Each k of pass@k."""
    save: Path | None = None
    """Where rows are saved."""
    against: Path | None = None
    """A saved run to compare with."""
    drawn_by: int | None = None
    """The seed that drew the rows; None: all, or the first."""


def read_rows(file: Path, skip_bad: bool, limit: int | None, drawn_by: int | None = None) -> tuple[Row, ...]:
    """Return the good rows of a file: the first `limit`, or as many drawn by a seed. Raises DataError."""
    from rim_edge.data.files import read_file
    from rim_edge.evaluation.asking import Row
    from rim_edge.evaluation.items import items_of
    from rim_edge.recipe.inputs import BadRows, DataFile

    read = read_file(DataFile(file), BadRows.SKIP if skip_bad else BadRows.REFUSE)
    if read.skipped:
        note(f"{file.name}: {read.skipped:,} bad rows skipped, the first: {read.first_bad}")
    if read.ignored:
        note(f"{file.name}: ignored keys: {', '.join(read.ignored)}")
    found = zip(read.places, items_of(read.examples), read.examples, strict=True)
    rows = tuple(Row(place, item, example.subject) for place, item, example in found)
    if limit is None or limit >= len(rows):
        return rows
    places = list(range(len(rows)))
    if drawn_by is not None:
        random.Random(drawn_by).shuffle(places)  # a higher limit adds rows to those of a lower one
    return tuple(rows[place] for place in sorted(places[:limit]))


def score(reader: Reader, wanted: Wanted) -> Scored:
    """Ask the rows, but for those that are saved already; end early, and quietly, where the user stops it.

    Raises DataError, QuestionError and InputError for what cannot be asked or compared, before anything is asked.
    """
    from rim_edge.cli.show.evaluation import Scored
    from rim_edge.evaluation.asking import Asked, select
    from rim_edge.evaluation.report.against import OtherRun
    from rim_edge.evaluation.report.saved import Run, SavedRows

    budgets = parse_blocks(wanted.blocks, reader, wanted.manner)
    selection = select(wanted.rows, reader, wanted.file.name)
    _note_left_out(wanted.file, selection)
    _require_samples(selection, wanted)
    _require_exchanges(selection, wanted, budgets)
    other = None if wanted.against is None else OtherRun(wanted.against, selection.rows)
    asked = Asked(selection.rows)
    run = Run(
        reader.subject, wanted.manner, budgets, wanted.chain, wanted.seed, wanted.each_block, wanted.drawn_by
    )
    about = _about(reader, wanted, selection)
    saved = None if wanted.save is None else SavedRows(wanted.save, run, about)
    if saved is not None:
        asked.readings.update(saved.restore(asked.rows))
        if asked.readings:
            note(f"{wanted.save}: {len(asked.readings):,} of {len(asked.rows):,} rows are answered there already")
    _ask(asked, reader, budgets, wanted.seed, saved)
    is_compared = other is not None and asked.is_whole
    return Scored(
        about=about,
        asked=asked,
        pass_at=wanted.pass_at,
        against=other.compare(asked.rows, asked.given) if other is not None and is_compared else None,
    )


def score_saved(file: Path, against: Path | None, pass_at: tuple[int, ...]) -> Scored:
    """Return a saved run as it was scored, without asking anything. Raises DataError and InputError."""
    from rim_runtime.errors import InputError

    from rim_edge.cli.show.evaluation import Scored
    from rim_edge.evaluation.asking import Asked
    from rim_edge.evaluation.report.against import OtherRun
    from rim_edge.evaluation.report.saved import read_run, row_of

    about, saved = read_run(file)
    rows = tuple(map(row_of, saved))
    asked = Asked(rows, {place: one.reading for place, one in enumerate(saved)})
    other = None if against is None else OtherRun(against, rows)
    drawn = min(len(one.samples) if one.probabilities is None else max(pass_at, default=0) for one in asked.given)
    if drawn < max(pass_at, default=0):
        raise InputError(
            f"--pass-at is {max(pass_at)}, and {file} has {drawn} drawn texts of each question, expected as many "
            "at least. Leave it out, or score again with --samples."
        )
    compared = None if other is None else other.compare(rows, asked.given)
    return Scored(about, asked, pass_at, compared, unasked=_unasked(about, len(rows)))


def _unasked(about: About, saved: int) -> int:
    """Return how many rows a saved run was stopped before."""
    return max(0, about.rows - sum(one.count for one in about.left_out) - saved)


def _about(reader: Reader, wanted: Wanted, selection: Selection) -> About:
    from datetime import UTC, datetime

    from rim_runtime.bundle.folder import sha256_file
    from rim_runtime.version import __version__

    from rim_edge.evaluation.report.about import About

    return About(
        subject=reader.subject,
        manner=wanted.manner,
        file=wanted.file.name,
        file_sha256=sha256_file(wanted.file),
        rows=len(wanted.rows),
        left_out=selection.left_out,
        version=__version__,
        day=datetime.now(UTC).date().isoformat(),
        drawn_by=wanted.drawn_by,
    )


def parse_blocks(text: str | None, reader: Reader, manner: Manner) -> range:
    """Return the numbers of blocks of `LOW..HIGH` or one number; None means 0..K. Raises QuestionError."""
    from rim_runtime.errors import QuestionError

    most = reader.blocks
    match = re.fullmatch(r"(\d+)(?:\.\.(\d+))?", f"0..{most}" if text is None else text)
    if match is None:
        raise QuestionError(f"--blocks is {text!r}, expected a number or LOW..HIGH, such as 0..{most}.")
    low, high = int(match[1]), int(match[2] or match[1])
    if high and manner.way is not None and not manner.way.has_blocks:
        raise QuestionError(
            f"--blocks is {text!r}, and --as {manner.way} asks without memory blocks. Leave it out."
        )
    if high and not most:
        raise QuestionError(
            f"--blocks is {text!r}, and there are no memory blocks here, expected 0. Leave it out, or add blocks "
            "to the checkpoint: rim-edge train"
        )
    if not low <= high <= most:
        raise QuestionError(f"--blocks is {text!r}, expected numbers from 0 to {most}, the lower one first.")
    return range(low, high + 1)


def _note_left_out(file: Path, selection: Selection) -> None:
    for left_out in selection.left_out:
        note(f"{file.name}: {left_out}")


def _require_samples(selection: Selection, wanted: Wanted) -> None:
    """Refuse pass@k of texts of which fewer than k are drawn."""
    from rim_runtime.errors import InputError

    from rim_edge.evaluation.way import Way

    most = max(wanted.pass_at, default=0)
    drawn = wanted.manner.draws.samples if wanted.manner.draws else 0
    if most > drawn and any(wanted.manner.way_of(row.item) is not Way.LETTER for row in selection.rows):
        raise InputError(
            f"--pass-at is {most}, and {drawn} texts are drawn of each question, expected as many at least. "
            f"Add --samples {most}, or score letters alone, whose probabilities say it: --as letter"
        )


def _require_exchanges(selection: Selection, wanted: Wanted, budgets: range) -> None:
    """Refuse to exchange blocks where there are none, or no letter is read, or no other question has some."""
    from rim_runtime.errors import InputError

    from rim_edge.evaluation.way import Way

    if not wanted.each_block:
        return
    if wanted.manner.way not in (None, Way.LETTER):
        raise InputError(f"--each-block reads letters, and --as is {wanted.manner.way}. Leave one of the two out.")
    if not budgets[-1]:
        raise InputError(
            "--each-block exchanges memory blocks, and 0 are asked with, expected 1 at least. Leave it out, or "
            "ask a checkpoint that has blocks with some of them: --blocks"
        )
    if (lettered := sum(bool(row.item.letters) for row in selection.rows)) < 2:
        raise InputError(
            f"--each-block exchanges the blocks of questions with letters, and {wanted.file.name} has {lettered}, "
            "expected 2 at least. Leave it out, or add questions."
        )


def _ask(asked: Asked, reader: Reader, budgets: range, seed: int, saved: SavedRows | None) -> None:
    from rim_edge.cli.progress import counted

    try:
        with counted("scoring", len(asked.rows) - len(asked.readings)) as advance:
            for places in asked.ask(reader, budgets, seed):
                if saved is not None:
                    saved.add([asked.rows[place] for place in places], [asked.readings[place] for place in places])
                advance(len(places))
    except KeyboardInterrupt:
        note(f"stopped after {len(asked.readings):,} of {len(asked.rows):,} rows")
