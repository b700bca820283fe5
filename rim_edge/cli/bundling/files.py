"""`rim-edge bundle copy`, `optimum` and `remove`: what changes files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rim_edge.cli.errors.usage import NotConfirmedError, UsageError
from rim_edge.cli.options import BundleArgument, JsonOption, PrecisionOption, new_path
from rim_edge.cli.output import console, note, print_json
from rim_edge.cli.progress import runtime_line
from rim_edge.cli.show.numbers import megabytes

if TYPE_CHECKING:
    from rim_runtime.bundle.removal import Removable

TargetArgument = Annotated[Path, typer.Argument(metavar="DIR", parser=new_path, help="A new folder.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def copy(name: BundleArgument, target: TargetArgument, as_json: JsonOption = False) -> None:
    """Copy a bundle, or unpack one, to a new folder, checking each file on the way; exit 3 if one is not whole."""
    from rim_runtime.bundle.copying import copy_bundle
    from rim_runtime.bundle.names import find_bundle
    from rim_runtime.bundle.packed import open_source

    place = find_bundle(name)
    with open_source(place) as source, runtime_line() as progress:
        copy_bundle(source, target, progress)
    size = sum(entry.bytes for entry in source.manifest.files.values())
    if as_json:
        print_json(
            {
                "name": source.manifest.name,
                "source": str(place.absolute()),
                "path": str(target.absolute()),
                "bytes": size,
            }
        )
    else:
        console().print(f"{source.manifest.name} is at {target.absolute()} too, whole ({megabytes(size)}).")


def optimum(
    name: BundleArgument, target: TargetArgument, precision: PrecisionOption = None, as_json: JsonOption = False
) -> None:
    """Write what answers in words as a folder for optimum-onnx: ORTModelForCausalLM.from_pretrained("DIR")."""
    from rim_runtime.bundle.names import find_bundle
    from rim_runtime.bundle.optimum_folder import write_optimum_folder
    from rim_runtime.bundle.packed import open_source

    with open_source(find_bundle(name)) as source, runtime_line() as progress:
        decoder = write_optimum_folder(source, target, precision, progress)
    size, called = sum(file.stat().st_size for file in target.iterdir()), source.manifest.name
    if as_json:
        body = {"name": called, "path": str(target.absolute()), "precision": decoder.precision, "bytes": size}
        print_json(body)
    else:
        what = f"in {decoder.precision}, {megabytes(size)}"
        console().print(f"{called} is at {target.absolute()}, as optimum-onnx opens it ({what}).")


def remove(name: BundleArgument, yes: YesOption = False, as_json: JsonOption = False) -> None:
    """Remove a bundle's folder; asks first."""
    from rim_runtime.bundle.names import find_bundle, name_of
    from rim_runtime.bundle.removal import removable, remove_bundle

    bundle = removable(find_bundle(name))
    called = name_of(bundle.path)
    if not yes and not _confirmed(bundle):
        raise NotConfirmedError("Nothing was removed: the answer was not yes.")
    was_default = remove_bundle(bundle)
    default = _default_now() if was_default else None
    if as_json:
        body = {"name": called, "path": str(bundle.path.absolute()), "bytes": bundle.bytes}
        print_json(body | {"was_default": was_default})
        return
    console().print(f"{called} is removed ({megabytes(bundle.bytes)}).")
    if default:
        note(f"it was the default; 'rim-edge ask' now uses {default}")


def _confirmed(bundle: Removable) -> bool:
    if not sys.stdin.isatty():
        raise UsageError(
            f"Nobody can be asked whether to remove {bundle.path}, expected a terminal. Pass --yes if you mean it."
        )
    print(f"Remove {bundle.path} ({megabytes(bundle.bytes)})? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().casefold() in ("y", "yes")


def _default_now() -> str:
    from rim_runtime.bundle.names import name_of, resolve_bundle

    return name_of(resolve_bundle().path)
