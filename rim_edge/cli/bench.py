"""`rim-edge bench`: how fast a bundle answers on this machine, with every engine that runs it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rim_runtime.engines.names import EngineName

from rim_edge.cli.errors.stopped import PartlyDone
from rim_edge.cli.options import BundleOption, JsonOption, PrecisionOption, listed, new_path
from rim_edge.cli.output import note, print_json, progress_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rim_runtime.bundle.manifest import Manifest
    from rim_runtime.errors import CheckError

    from rim_edge.benchmark.against import Change
    from rim_edge.benchmark.engines import EngineSpeed, NotRun

ENGINES = tuple(name for name in EngineName if name is not EngineName.AUTO)

EnginesOption = Annotated[
    list[EngineName] | None,
    typer.Option(
        "--engine",
        metavar="NAME",
        help=f"{listed(EngineName)}; repeat it for more.",
        show_default="all that run here",
    ),
]
RoundsOption = Annotated[
    int, typer.Option("--rounds", metavar="N", min=5, max=10_000, help="Answers of each engine that are timed.")
]
TokensOption = Annotated[
    int, typer.Option("--max-tokens", metavar="N", min=2, help="Tokens of each text, where the bundle writes.")
]
SaveOption = Annotated[
    Path | None,
    typer.Option("--save", metavar="FILE", parser=new_path, help="Write the figures as JSON.", show_default=False),
]
SvgOption = Annotated[
    Path | None,
    typer.Option(
        "--svg", metavar="FILE", parser=new_path, help="Write a picture to this new file.", show_default="none"
    ),
]
AgainstOption = Annotated[
    Path | None,
    typer.Option(
        "--against",
        metavar="FILE",
        help="Compare with an earlier benchmark; what became slower exits 3.",
        show_default=False,
    ),
]
AllowedOption = Annotated[
    float,
    typer.Option("--allowed", metavar="N", min=1.0, help="How many times as slow as before something may be."),
]


def bench(
    bundle: BundleOption = None,
    engine: EnginesOption = None,
    precision: PrecisionOption = None,
    rounds: RoundsOption = 100,
    max_tokens: TokensOption = 32,
    save: SaveOption = None,
    svg: SvgOption = None,
    against: AgainstOption = None,
    allowed: AllowedOption = 1.25,
    as_json: JsonOption = False,
) -> None:
    """Time a bundle's answers on this machine: cold, half of the warm ones, 99 of 100, texts, memory.

    Each engine runs in a process of its own, on the bundle's golden questions. Let the machine do nothing else.
    """
    from rim_runtime.bundle.folder import Bundle
    from rim_runtime.bundle.names import resolve_bundle
    from rim_runtime.machine.storage import refuse_existing, require_writable

    from rim_edge.benchmark.against import compare, read_benchmark, require_same_bundle
    from rim_edge.benchmark.engines import Wanted, measure
    from rim_edge.cli.errors.report import complain
    from rim_edge.cli.opening import folder_of
    from rim_edge.cli.output import error_body
    from rim_edge.cli.show.benchmark import print_benchmark

    then = None if against is None else read_benchmark(against)
    for file in (save, svg):
        if file is not None:
            refuse_existing(file)
            require_writable(file)
    chosen = tuple(one for one in engine or () if one is not EngineName.AUTO)
    with folder_of(resolve_bundle(bundle).path) as folder, progress_line() as progress:
        manifest = Bundle.load(folder).manifest
        if then is not None:
            require_same_bundle(then, manifest.sha256)
            _note_other_processor(then)
        found, missing = measure(Wanted(folder, chosen, precision, rounds, max_tokens), progress)
    _require_some(found, missing)
    changes = () if then is None else compare(found, then, manifest.sha256, allowed)
    body = _body(manifest, found, missing, changes)
    if save is not None:
        _save(save, body)
    if svg is not None:
        _draw(svg, body, found, changes)
    slower = _slower(changes, allowed)
    if not as_json:
        print_benchmark(body, found, missing, changes)
        if slower is not None:
            raise slower
    elif slower is None:
        print_json(body)
    else:  # one line, so the error stands beside the figures
        complain(str(slower))
        print_json(body | error_body(slower))
        raise PartlyDone(slower.exit_code)


def _require_some(found: list[EngineSpeed], missing: list[NotRun]) -> None:
    from rim_runtime.errors import UnavailableError

    if not found:
        reasons = "; ".join(f"{one.engine}: {one.reason}" for one in missing)
        if failed := next((one for one in missing if one.code != UnavailableError.exit_code), None):
            raise failed.error()
        raise UnavailableError(f"No engine answered ({reasons}). rim-edge doctor says what is missing.")


def _body(
    manifest: Manifest, found: list[EngineSpeed], missing: list[NotRun], changes: tuple[Change, ...]
) -> dict[str, Any]:
    import platform
    from dataclasses import asdict

    from rim_runtime.machine.cpu import this_cpu
    from rim_runtime.version import __version__

    return {
        "bundle": manifest.name,
        "manifest_sha256": manifest.sha256,
        "processor": this_cpu().name,
        "system": f"{platform.system()} {platform.machine()}",
        "version": __version__,
        "engines": [asdict(one) for one in found],
        "not_run": [one.to_json() for one in missing],
        "changes": [asdict(one) for one in changes],
    }


def _note_other_processor(then: Mapping[str, Any]) -> None:
    """Say that two machines are compared: what differs may be theirs."""
    from rim_runtime.machine.cpu import this_cpu

    before, here = then.get("processor"), this_cpu().name
    if before != here:
        note(f"the earlier benchmark is of another processor ({before}; here {here}): what differs may be theirs")


def _save(file: Path, body: dict[str, Any]) -> None:
    import json

    from rim_runtime.machine.storage import write_file

    write_file(file, json.dumps(body, indent=1) + "\n")


def _draw(svg: Path, body: dict[str, Any], found: list[EngineSpeed], changes: tuple[Change, ...]) -> None:
    from rim_runtime.machine.storage import write_file

    from rim_edge.cli.show.pictures.benchmark import picture

    write_file(svg, picture(f"{body['bundle']} · {body['processor']} · {body['system']}", found, changes))
    note(f"the picture is in {svg}")


def _slower(changes: tuple[Change, ...], allowed: float) -> CheckError | None:
    """Return the error about what has become slower by more than is allowed; None if nothing has."""
    from rim_runtime.errors import CheckError

    slower = [one for one in changes if one.is_regression]
    if not slower:
        return None
    worst = max(slower, key=lambda one: one.slower)
    told = "1 figure is" if len(slower) == 1 else f"{len(slower)} figures are"
    return CheckError(
        f"{told} slower than before, the worst {worst.figure} of {worst.engine}: {worst.then:g} then, "
        f"{worst.now:g} now, {worst.slower:.2f} × (allowed {allowed:g}). Measure again on a quiet machine."
    )
