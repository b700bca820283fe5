"""`rim-edge doctor`: what this machine can run, and what to do about the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from rim_edge.cli.options import JsonOption
from rim_edge.cli.output import console, print_json, progress_line
from rim_edge.cli.show.marks import Mark
from rim_edge.cli.show.numbers import milliseconds

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from rim_edge.machine import BundleStatus, EngineReport, FolderStatus, Machine

_NAMES = 12  # cells of the column of names, at least
_NO_ENGINE = 4  # as everywhere: no engine or device here


def doctor(as_json: JsonOption = False) -> None:
    """Show what this machine can run: each engine that is here is asked one question of the demo.

    A tick is for what was tried. Exit 4 where no engine answers.
    """
    from rim_edge.machine import examine

    with progress_line() as progress:
        machine = examine(progress)
    if as_json:
        print_json(_body(machine))
    else:
        _print(machine)
    if not any(engine.available for engine in machine.engines):
        raise typer.Exit(_NO_ENGINE)


def _body(machine: Machine) -> dict[str, Any]:
    cpu, found = machine.cpu, machine.gpus
    return {
        "python": machine.python,
        "platform": machine.platform,
        "cpu": {"name": cpu.name, "machine": cpu.machine, "features": cpu.features, "cores": cpu.cores},
        "gpu": {
            "driver": found.driver,
            "cuda": None if found.cuda is None else ".".join(map(str, found.cuda)),
            "trouble": found.trouble,
            "gpus": [
                {"index": g.index, "name": g.name, "target": g.target, "memory_bytes": g.memory_bytes}
                for g in found.gpus
            ],
        },
        "libraries": dict(machine.libraries),
        "onnxruntime": {"conflict": machine.conflict, "telemetry": machine.telemetry},
        "engines": [_engine_body(engine) for engine in machine.engines],
        "extras": [
            {"name": e.name, "installed": not e.missing, "missing": e.missing, "command": e.command}
            for e in machine.extras
        ],
        "bundles": [_bundle_body(status) for status in machine.bundles],
        "bundles_trouble": machine.bundles_trouble,
        "home": _folder_body(machine.home),
        "cache": _folder_body(machine.cache),
        "advice": machine.advice,
    }


def _engine_body(engine: EngineReport) -> dict[str, Any]:
    tried = engine.trial
    trial = (
        None if tried is None else {"variant": tried.variant, "ms": 1000 * tried.seconds, "trouble": tried.trouble}
    )
    return {"name": engine.name, "available": engine.available, "reason": engine.reason, "trial": trial}


def _folder_body(status: FolderStatus) -> dict[str, Any]:
    return {"path": None if status.path is None else str(status.path), "trouble": status.trouble}


def _bundle_body(status: BundleStatus) -> dict[str, Any]:
    listed = status.listed
    return {
        "name": listed.name,
        "path": str(listed.path),
        "default": listed.default,
        "trouble": status.trouble,
        "engines": [
            {"name": e.engine, "variant": e.variant, "ready": e.ready, "detail": e.detail} for e in status.engines
        ],
    }


def _print(machine: Machine) -> None:
    out = console()
    out.print()
    _section(
        out, "machine", [("system", machine.platform), ("python", machine.python), *_processors(out, machine)]
    )
    _section(out, "libraries", [
        *((name, version) for name, version in machine.libraries.items() if version),
        *([] if any(machine.libraries.values()) else [("", "none that an engine runs on")]),
        ("reporting", f"of onnxruntime: {machine.telemetry}"),
    ])  # fmt: skip
    _section(out, "engines", [(engine.name, _engine(out, engine)) for engine in machine.engines])
    _section(out, "extras", [
        (e.name, Mark.OFF.before(out, f"lacks {', '.join(e.missing)}: {e.command}") if e.missing else "installed")
        for e in machine.extras
    ])  # fmt: skip
    _section(out, "bundles", [
        *(row for status in machine.bundles for row in _bundle(out, status, machine)),
        *([("trouble", Mark.BAD.before(out, machine.bundles_trouble))] if machine.bundles_trouble else []),
    ])  # fmt: skip
    _section(out, "folders", [("home", _folder(out, machine.home)), ("cache", _folder(out, machine.cache))])
    if machine.advice:
        _section(out, "to do", [("", text) for text in machine.advice])


def _engine(out: Console, engine: EngineReport) -> Text:
    if not engine.available:
        return (Mark.BAD if engine.trial else Mark.OFF).before(out, engine.reason)
    if engine.trial is None:
        return Mark.UNTRIED.before(out, f"{engine.reason} (not tried: there is no demo for it)")
    return Mark.GOOD.before(out, f"{engine.reason} (answered in {milliseconds(1000 * engine.trial.seconds)})")


def _processors(out: Console, machine: Machine) -> list[tuple[str, str | Text]]:
    """Return the rows of the processor, the GPUs and their driver."""
    cpu, found = machine.cpu, machine.gpus
    features = (
        "instruction sets unknown" if cpu.features is None else " ".join(cpu.features) or "no int8 instructions"
    )
    cores = "cores unknown" if cpu.cores is None else f"{cpu.cores} cores usable"
    rows: list[tuple[str, str | Text]] = [("processor", f"{cpu.name}, {cores}"), ("", features)]
    for one in found.gpus:
        used = "" if one is found.first else "  (engines take the first)"
        rows.append((f"gpu {one.index}", f"{one.name}, {one.target}, {one.memory_bytes / 1e9:,.0f} GB{used}"))
    if found.trouble:
        rows.append(("gpu", Mark.OFF.before(out, found.trouble)))
    if found.driver or found.cuda:
        knows = "no CUDA" if found.cuda is None else f"CUDA {found.cuda[0]}.{found.cuda[1]}"
        rows.append(("driver", f"{found.driver or 'version unknown'}, knows {knows}"))
    return rows


def _section(out: Console, title: str, rows: list[tuple[str, str | Text]]) -> None:
    from rich.text import Text

    from rim_edge.cli.show.wrap import wrapped

    out.print(Text(title, "bold"))
    width = max(_NAMES, *(len(name) + 2 for name, _ in rows)) if rows else _NAMES
    for name, value in rows:
        for place, line in enumerate(wrapped(out, value, width + 2)):
            out.print(Text.assemble((f"  {'' if place else name:<{width}}", "dim"), line))
    out.print()


def _bundle(out: Console, status: BundleStatus, machine: Machine) -> list[tuple[str, str | Text]]:
    """Return the rows of a bundle: where it is, what could run it, and what could not."""
    from rim_runtime.bundle.names import DEMO

    entry = status.listed
    name = "" if entry.name == str(entry.path) else entry.name
    rows: list[tuple[str, str | Text]] = [(name, f"{entry.path}{'  (used by ask)' if entry.default else ''}")]
    if status.trouble:
        rows.append(("", Mark.BAD.before(out, status.trouble)))
    tried = {e.name for e in machine.engines if e.trial} if entry.name == DEMO else set()
    for mark, engines in (
        (Mark.GOOD, [e for e in status.engines if e.ready and e.engine in tried]),
        (Mark.UNTRIED, [e for e in status.engines if e.ready and e.engine not in tried]),
    ):
        if engines:
            told = ", ".join(f"{e.engine} {e.variant}{f' ({e.detail})' if e.detail else ''}" for e in engines)
            rows.append(("", mark.before(out, told if mark is Mark.GOOD else f"{told} (not tried)")))
    others = [f"{e.engine}: {e.detail}" for e in status.engines if e.expected and not e.ready]
    return [*rows, *(("", Mark.OFF.before(out, text)) for text in others)]


def _folder(out: Console, status: FolderStatus) -> Text:
    if status.trouble is None:
        return Mark.GOOD.before(out, str(status.path))
    where = "" if status.path is None else f"{status.path}: "
    return Mark.BAD.before(out, f"{where}{status.trouble}")
