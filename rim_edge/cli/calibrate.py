"""`rim-edge calibrate`: how sure a bundle's letters are, fitted on rows with right answers, and kept for `ask`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rim_runtime.engines.names import EngineName

from rim_edge.cli.options import (
    BlocksOption,
    BundleOption,
    EngineOption,
    JsonOption,
    LimitOption,
    PrecisionOption,
    SeedOption,
    SkipBadOption,
    new_path,
)
from rim_edge.cli.output import note, print_json
from rim_edge.cli.show.numbers import count

if TYPE_CHECKING:
    from rim_runtime.calibration import Calibration
    from rim_runtime.engine import Engine

    from rim_edge.evaluation.asking import Row
    from rim_edge.evaluation.calibrating import Calibrated, Labelled

FileArgument = Annotated[
    Path | None,
    typer.Argument(metavar="FILE", help="Rows with letters as answers, like those that will be asked."),
]
CoverageOption = Annotated[
    float,
    typer.Option(
        "--coverage",
        metavar="N",
        min=0.5,
        max=0.99,
        help="How often the letters that 'ask' names together are to hold the right one.",
    ),
]
SvgOption = Annotated[
    Path | None,
    typer.Option(
        "--svg",
        metavar="FILE",
        parser=new_path,
        help="Write a reliability diagram to this new file.",
        show_default="none",
    ),
]
ForgetOption = Annotated[bool, typer.Option("--forget", help="Forget the bundle's calibrations here.")]


def calibrate(
    file: FileArgument = None,
    bundle: BundleOption = None,
    blocks: BlocksOption = None,
    engine: EngineOption = EngineName.AUTO,
    precision: PrecisionOption = None,
    limit: LimitOption = None,
    skip_bad: SkipBadOption = False,
    coverage: CoverageOption = 0.9,
    seed: SeedOption = 0,
    svg: SvgOption = None,
    forget: ForgetOption = False,
    as_json: JsonOption = False,
) -> None:
    """Fit a temperature on rows with right answers, so that percentages say how often an answer is right.

    It is kept on this machine for this bundle, and `ask` uses it. It holds for questions like these alone.
    """
    from rim_runtime.bundle.names import resolve_bundle
    from rim_runtime.machine.storage import refuse_existing, require_writable

    from rim_edge.cli.opening import folder_of, open_engine

    place = resolve_bundle(bundle).path
    if forget:
        _forget(place, file, as_json)
        return
    if file is None:
        raise typer.BadParameter("a FILE of rows is missing, or --forget")
    if svg is not None:
        refuse_existing(svg)
        require_writable(svg)
    rows = _rows(file, skip_bad, limit)
    _mend_file()  # a file of a later release is refused before anything is asked
    with folder_of(place) as folder, open_engine(folder, engine, precision) as opened:
        found, kept = _fit(opened, file, rows, blocks, coverage, seed)
        if as_json:
            print_json(_body(found, kept, opened))
        else:
            _print(found, kept, opened)
        if svg is not None:
            _draw(svg, found, kept, opened)


def _fit(
    engine: Engine, file: Path, rows: tuple[Row, ...], blocks: int | None, coverage: float, seed: int
) -> tuple[Calibrated, Calibration]:
    from rim_runtime.calibration import Calibration, keep_calibration

    from rim_edge.evaluation.calibrating import calibrate as fit

    contract = engine.manifest.prompt
    count = contract.check_blocks(contract.blocks if blocks is None else blocks)
    labelled = _asked(engine, rows, count)
    found = fit(labelled, coverage, seed)
    kept = Calibration(
        temperature=found.temperature,
        coverage=coverage,
        threshold=found.threshold,
        blocks=count,
        questions=len(labelled),
        data=file.name,
        data_sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
    )
    keep_calibration(engine.manifest, engine.precision, kept)
    return found, kept


def _rows(file: Path, skip_bad: bool, limit: int | None) -> tuple[Row, ...]:
    from rim_edge.cli.evaluating.scoring import read_rows

    rows = read_rows(file, skip_bad, limit)
    lettered = tuple(row for row in rows if row.item.letters)
    if len(lettered) < len(rows):
        note(f"{file.name}: {len(rows) - len(lettered):,} rows without letters left out")
    return lettered


def _asked(engine: Engine, rows: tuple[Row, ...], blocks: int) -> list[Labelled]:
    """Return the probabilities of rows; one that cannot be asked is left out, and counted."""
    from rim_runtime.errors import QuestionError
    from rim_runtime.question import Question

    from rim_edge.cli.progress import counted
    from rim_edge.evaluation.calibrating import Labelled

    asked, left_out = [], 0
    for row in rows:
        try:
            engine.check(Question(row.item.question))
            asked.append(row)
        except QuestionError:
            left_out += 1
    if left_out:
        note(f"{left_out:,} rows left out: they cannot be asked")
    found: list[Labelled | None] = [None] * len(asked)
    with counted("asking", len(asked)) as advance:
        for place, answer in engine.ask_iter([Question(row.item.question) for row in asked], blocks=blocks):
            found[place] = Labelled(dict(answer.probabilities), asked[place].item.answer)
            advance(1)
    return [one for one in found if one is not None]


def _forget(place: Path, file: Path | None, as_json: bool) -> None:
    from rim_runtime.bundle.folder import Bundle
    from rim_runtime.calibration import forget_calibrations

    from rim_edge.cli.opening import folder_of

    if file is not None:
        raise typer.BadParameter("FILE and --forget exclude each other")
    with folder_of(place) as folder:
        manifest = Bundle.load(folder).manifest
    _mend_file()
    forgotten = forget_calibrations(manifest)
    if as_json:
        print_json({"bundle": manifest.name, "forgotten": forgotten})
    else:
        note(f"{count(forgotten, 'calibration')} of {manifest.name} forgotten")


def _mend_file() -> None:
    """Put a damaged file of calibrations out of the way, and say so. Raises InputError for a later release's."""
    from rim_runtime.calibration import set_aside_damaged

    if copy := set_aside_damaged():
        note(f"the calibrations that were kept here could not be read; they are in {copy}, and a new file begins")


def _body(found: Calibrated, kept: Calibration, engine: Engine) -> dict[str, Any]:
    from dataclasses import asdict

    told = asdict(found)
    told["kept"] = {"bundle": engine.bundle, "precision": engine.precision, "engine": engine.name, **asdict(kept)}
    return told


def _print(found: Calibrated, kept: Calibration, engine: Engine) -> None:
    from rim_edge.cli.show.calibration import print_calibrated

    print_calibrated(found, kept, engine.bundle, engine.precision)


def _draw(svg: Path, found: Calibrated, kept: Calibration, engine: Engine) -> None:
    from rim_runtime.machine.storage import write_file

    from rim_edge.cli.show.pictures.calibration import picture

    write_file(svg, picture(found, kept, engine.bundle, engine.precision))
    note(f"the picture is in {svg}")
