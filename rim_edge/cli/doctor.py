"""`rim-edge doctor`: what this machine can run, and what to do about the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rim_edge.cli.options import JsonOption
from rim_edge.cli.output import console, print_json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from rim_edge.bundles import ListedBundle
    from rim_edge.machine import FolderStatus, Machine


_NAMES = 12  # cells of the column of names


def doctor(as_json: JsonOption = False) -> None:
    """Show what this machine can run."""
    from rim_edge.machine import examine

    machine = examine()
    if as_json:
        print_json(_body(machine))
    else:
        _print(machine)


def _body(machine: Machine) -> dict[str, Any]:
    cpu = machine.cpu
    return {
        "python": machine.python,
        "platform": machine.platform,
        "cpu": {"name": cpu.name, "machine": cpu.machine, "features": cpu.features, "cores": cpu.cores},
        "onnxruntime": {
            "wheels": dict(machine.wheels),
            "conflict": machine.conflict,
            "telemetry": machine.telemetry,
        },
        "engines": [{"name": e.name, "available": e.available, "reason": e.reason} for e in machine.engines],
        "extras": [
            {"name": e.name, "installed": not e.missing, "missing": e.missing, "command": e.command}
            for e in machine.extras
        ],
        "bundles": [{"name": b.name, "path": str(b.path), "default": b.default} for b in machine.bundles],
        "bundles_trouble": machine.bundles_trouble,
        "home": {"path": str(machine.home.path), "trouble": machine.home.trouble},
        "cache": {"path": str(machine.cache.path), "trouble": machine.cache.trouble},
    }


def _print(machine: Machine) -> None:
    out = console()
    cpu = machine.cpu
    features = (
        "instruction sets unknown" if cpu.features is None else " ".join(cpu.features) or "no int8 instructions"
    )
    cores = "cores unknown" if cpu.cores is None else f"{cpu.cores} cores usable"
    out.print()
    _section(out, "machine", [
        ("system", machine.platform),
        ("python", machine.python),
        ("processor", f"{cpu.name}, {cores}"),
        ("", features),
    ])  # fmt: skip
    _section(out, "onnx runtime", [
        ("installed", ", ".join(f"{name} {version}" for name, version in machine.wheels.items()) or "no"),
        ("reporting", machine.telemetry),
        *([("conflict", machine.conflict)] if machine.conflict else []),
    ])  # fmt: skip
    _section(out, "engines", [(e.name, _mark(e.available, e.reason)) for e in machine.engines])
    _section(out, "extras", [
        (e.name, _mark(not e.missing, f"lacks {', '.join(e.missing)}: {e.command}" if e.missing else "installed"))
        for e in machine.extras
    ])  # fmt: skip
    _section(out, "bundles", [
        *[_bundle(entry) for entry in machine.bundles],
        *([("trouble", machine.bundles_trouble)] if machine.bundles_trouble else []),
    ])  # fmt: skip
    _section(out, "folders", [("home", _folder(machine.home)), ("cache", _folder(machine.cache))])


def _section(out: Console, title: str, rows: list[tuple[str, str | Text]]) -> None:
    from rich.text import Text

    out.print(Text(title, "bold"))
    for name, value in rows:
        out.print(Text.assemble((f"  {name:<{_NAMES}}", "dim"), value))
    out.print()


def _bundle(entry: ListedBundle) -> tuple[str, str]:
    name = "" if entry.name == str(entry.path) else entry.name
    return name, f"{entry.path}{'  ← used by ask' if entry.default else ''}"


def _mark(good: bool, text: str) -> Text:
    from rich.text import Text

    return Text.assemble(("✓ ", "green") if good else ("– ", "dim"), (text, "" if good else "dim"))


def _folder(status: FolderStatus) -> Text:
    from rich.text import Text

    if status.trouble is None:
        return Text.assemble(("✓ ", "green"), str(status.path))
    return Text.assemble(("✗ ", "red"), f"{status.path}: {status.trouble}")
