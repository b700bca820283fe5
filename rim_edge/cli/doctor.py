"""`rim-edge doctor`: what this machine can run, and what to do about the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rim_edge.cli.options import JsonOption
from rim_edge.cli.output import console, print_json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from rim_edge.machine import BundleStatus, FolderStatus, Machine


_NAMES = 12  # cells of the column of names, at least


def doctor(as_json: JsonOption = False) -> None:
    """Show what this machine can run."""
    from rim_edge.machine import examine

    machine = examine()
    if as_json:
        print_json(_body(machine))
    else:
        _print(machine)


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
        "engines": [{"name": e.name, "available": e.available, "reason": e.reason} for e in machine.engines],
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
    _section(out, "machine", [("system", machine.platform), ("python", machine.python), *_processors(machine)])
    _section(out, "libraries", [
        *((name, version) for name, version in machine.libraries.items() if version),
        *([] if any(machine.libraries.values()) else [("", "none that an engine runs on")]),
        ("reporting", f"of onnxruntime: {machine.telemetry}"),
    ])  # fmt: skip
    _section(out, "engines", [(e.name, _mark(e.available, e.reason)) for e in machine.engines])
    _section(out, "extras", [
        (e.name, _mark(not e.missing, f"lacks {', '.join(e.missing)}: {e.command}" if e.missing else "installed"))
        for e in machine.extras
    ])  # fmt: skip
    _section(out, "bundles", [
        *(row for status in machine.bundles for row in _bundle(status)),
        *([("trouble", machine.bundles_trouble)] if machine.bundles_trouble else []),
    ])  # fmt: skip
    _section(out, "folders", [("home", _folder(machine.home)), ("cache", _folder(machine.cache))])
    if machine.advice:
        _section(out, "to do", [("", text) for text in machine.advice])


def _processors(machine: Machine) -> list[tuple[str, str | Text]]:
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
        rows.append(("gpu", _mark(False, found.trouble)))
    if found.driver or found.cuda:
        knows = "no CUDA" if found.cuda is None else f"CUDA {found.cuda[0]}.{found.cuda[1]}"
        rows.append(("driver", f"{found.driver or 'version unknown'}, knows {knows}"))
    return rows


def _section(out: Console, title: str, rows: list[tuple[str, str | Text]]) -> None:
    from rich.text import Text

    out.print(Text(title, "bold"))
    width = max(_NAMES, *(len(name) + 2 for name, _ in rows)) if rows else _NAMES
    for name, value in rows:
        out.print(Text.assemble((f"  {name:<{width}}", "dim"), value))
    out.print()


def _bundle(status: BundleStatus) -> list[tuple[str, str | Text]]:
    """Return the rows of a bundle: where it is, what is ready for it, and what is not."""
    entry = status.listed
    name = "" if entry.name == str(entry.path) else entry.name
    rows: list[tuple[str, str | Text]] = [(name, f"{entry.path}{'  ← used by ask' if entry.default else ''}")]
    if status.trouble:
        rows.append(("", _mark(False, status.trouble)))
    ready = [f"{e.engine} {e.variant}{f' ({e.detail})' if e.detail else ''}" for e in status.engines if e.ready]
    others = [f"{e.engine}: {e.detail}" for e in status.engines if e.expected and not e.ready]
    if ready:
        rows.append(("", _mark(True, " · ".join(ready))))
    return [*rows, *(("", _mark(False, text)) for text in others)]


def _mark(good: bool, text: str) -> Text:
    from rich.text import Text

    return Text.assemble(("✓ ", "green") if good else ("– ", "dim"), (text, "" if good else "dim"))


def _folder(status: FolderStatus) -> Text:
    from rich.text import Text

    if status.trouble is None:
        return Text.assemble(("✓ ", "green"), str(status.path))
    where = "" if status.path is None else f"{status.path}: "
    return Text.assemble(("✗ ", "red"), f"{where}{status.trouble}")
