"""`rim-edge eval`: accuracy of a bundle or a checkpoint at every number of memory blocks, with its controls."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rim_runtime.bundle.manifest import Precision
from rim_runtime.engines.names import EngineName

from rim_edge.cli.errors.stopped import INTERRUPTED, PartlyDone
from rim_edge.cli.options import (
    MODEL,
    BundleOption,
    CheckpointOption,
    EngineOption,
    JsonOption,
    LimitOption,
    SeedOption,
    SkipBadOption,
    listed,
    new_path,
)
from rim_edge.cli.output import note, print_json

if TYPE_CHECKING:
    from rim_edge.evaluation.asking import Asked, Row, Selection
    from rim_edge.evaluation.reading import Reader

BudgetsOption = Annotated[
    str | None,
    typer.Option(
        "--blocks",
        metavar="LOW..HIGH",
        help="Numbers of memory blocks, one after another.",
        show_default="0..K",
    ),
]
PrecisionOption = Annotated[
    Precision | None,
    typer.Option(
        "--precision",
        metavar="NAME",
        help=f"{listed(Precision)}. Of a bundle, a variant; of a checkpoint, the arithmetic: fp32, bf16 or fp16.",
        show_default="the bundle's first; fp32, on a GPU bf16 if stored so",
        rich_help_panel=MODEL,
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="NAME",
        help="With --model: auto (a GPU if there is one), cpu, cuda or cuda:N.",
        rich_help_panel=MODEL,
    ),
]
ChainOption = Annotated[
    int | None,
    typer.Option(
        "--chain", min=1, metavar="N", help="With --model: written steps too, of at most so many tokens."
    ),
]
SaveOption = Annotated[
    Path | None,
    typer.Option(
        "--save",
        metavar="FILE",
        parser=new_path,
        help="Write a line of JSON for each row: what was read, what is right.",
    ),
]


def evaluate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Rows with answers (.jsonl, .json or .txt).")],
    blocks: BudgetsOption = None,
    bundle: BundleOption = None,
    engine: EngineOption = EngineName.AUTO,
    precision: PrecisionOption = None,
    model: CheckpointOption = None,
    device: DeviceOption = "auto",
    chain: ChainOption = None,
    limit: LimitOption = None,
    skip_bad: SkipBadOption = False,
    seed: SeedOption = 0,
    save: SaveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score answers with 0..K memory blocks, each with its 95 % Wilson interval.

    Rows that cannot be asked (too long; for a bundle, open ones) are left out, counted and named. Ctrl-C shows the
    scores of what was asked so far.
    """
    from rim_runtime.machine.storage import write_file

    from rim_edge.cli.show.evaluation import Scored, print_scored
    from rim_edge.evaluation.asking import Asked, select

    _refuse_what_excludes_each_other(bundle, engine, model, device, chain)
    if save is not None:
        _refuse_unwritable(save)
    rows = _read_rows(file, skip_bad)[:limit]
    with _reader(bundle, engine, precision, model, device, chain) as reader:
        if not reader.blocks:
            note(f"{reader.subject.name} has no memory blocks: its zero-shot answers are scored")
        budgets = parse_blocks(blocks, reader.blocks)
        selection = select(rows, reader, file.name)
        _note_left_out(file, selection)
        asked = Asked(selection.rows)
        _ask(asked, reader, budgets, seed)
        scored = Scored(reader.subject, file, len(rows), selection.left_out, asked)
    if asked.readings:
        if as_json:
            print_json(scored.to_json())
        else:
            print_scored(scored)
        if save is not None:
            write_file(save, asked.lines())
    if not asked.is_whole:
        if asked.readings:
            raise PartlyDone(INTERRUPTED)
        raise KeyboardInterrupt


def parse_blocks(text: str | None, most: int) -> range:
    """Return the numbers of blocks of `LOW..HIGH` or one number; None means 0..K. Raises QuestionError."""
    from rim_runtime.errors import QuestionError

    match = re.fullmatch(r"(\d+)(?:\.\.(\d+))?", f"0..{most}" if text is None else text)
    if match is None:
        raise QuestionError(f"--blocks is {text!r}, expected a number or LOW..HIGH, such as 0..{most}.")
    low, high = int(match[1]), int(match[2] or match[1])
    if high and not most:
        raise QuestionError(
            f"--blocks is {text!r}, and there are no memory blocks here, expected 0. Leave it out, or add blocks "
            "to the checkpoint: rim-edge train"
        )
    if not low <= high <= most:
        raise QuestionError(f"--blocks is {text!r}, expected numbers from 0 to {most}, the lower one first.")
    return range(low, high + 1)


def _refuse_what_excludes_each_other(
    bundle: str | None, engine: EngineName, model: Path | None, device: str, chain: int | None
) -> None:
    if model is not None and bundle is not None:
        raise typer.BadParameter("--model and --bundle exclude each other")
    if model is not None and engine is not EngineName.AUTO:
        raise typer.BadParameter("--engine is for bundles: a checkpoint is scored in torch (--device)")
    if model is None and device != "auto":
        raise typer.BadParameter("--device needs --model: a bundle is scored on an engine (--engine)")
    if model is None and chain is not None:
        raise typer.BadParameter("--chain needs --model: a bundle answers in one pass and writes nothing")


def _refuse_unwritable(target: Path) -> None:
    """Refuse a file that exists or cannot be written, before hours of work."""
    from rim_runtime.machine.storage import refuse_existing, require_writable

    refuse_existing(target)
    require_writable(target)


def _read_rows(file: Path, skip_bad: bool) -> list[Row]:
    """Return the good rows of a file. Raises DataError."""
    from rim_edge.data.files import read_file
    from rim_edge.evaluation.asking import Row
    from rim_edge.evaluation.items import items_of
    from rim_edge.recipe.inputs import BadRows, DataFile

    read = read_file(DataFile(file), BadRows.SKIP if skip_bad else BadRows.REFUSE)
    if read.skipped:
        note(f"{file.name}: {read.skipped:,} bad rows skipped, the first: {read.first_bad}")
    if read.ignored:
        note(f"{file.name}: ignored keys: {', '.join(read.ignored)}")
    return [Row(place, item) for place, item in zip(read.places, items_of(read.examples), strict=True)]


@contextmanager
def _reader(
    bundle: str | None,
    engine: EngineName,
    precision: Precision | None,
    model: Path | None,
    device: str,
    chain: int | None,
) -> Iterator[Reader]:
    """Give the reader of the bundle, or of the checkpoint, that is meant."""
    if model is None:
        from rim_runtime.bundle.names import resolve_bundle

        from rim_edge.cli.opening import folder_of, open_engine
        from rim_edge.evaluation.bundle_reader import BundleReader

        place = resolve_bundle(bundle).path
        with folder_of(place) as folder, open_engine(folder, engine, precision) as opened:
            yield BundleReader(opened, place)
        return
    from rim_edge.cli.output import progress_line
    from rim_edge.extras import require_extra

    require_extra("train", "Evaluating a checkpoint")
    with progress_line() as progress:
        progress("reading the checkpoint")
        from rim_edge.evaluation.arithmetic import choose_arithmetic
        from rim_edge.evaluation.checkpoint_reader import CheckpointReader

        reader = CheckpointReader.open(model, choose_arithmetic(model, device, precision), chain)
    yield reader


def _note_left_out(file: Path, selection: Selection) -> None:
    for left_out in selection.left_out:
        note(f"{file.name}: {left_out}")


def _ask(asked: Asked, reader: Reader, budgets: range, seed: int) -> None:
    """Ask all rows; end early, and quietly, where the user stops it."""
    from rim_edge.cli.progress import counted

    try:
        with counted("scoring", len(asked.rows)) as advance:
            for count in asked.ask(reader, budgets, seed):
                advance(count)
    except KeyboardInterrupt:
        note(f"stopped after {len(asked.readings):,} of {len(asked.rows):,} rows")
