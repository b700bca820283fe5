"""`rim-edge bundle`: list, inspect, verify, choose and trust bundles."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rim_edge.cli.bundling.compare import compare
from rim_edge.cli.bundling.files import copy, optimum, remove
from rim_edge.cli.bundling.sbom import sbom
from rim_edge.cli.bundling.signing import PublicKeyOption, checked_signature, sign
from rim_edge.cli.bundling.triton import triton
from rim_edge.cli.bundling.vectors import vectors
from rim_edge.cli.options import BundleArgument, JsonOption, bundle_names
from rim_edge.cli.output import console, note, print_json
from rim_edge.cli.progress import runtime_line
from rim_edge.cli.show.numbers import megabytes
from rim_edge.cli.show.pages import Command, Group, epilog

if TYPE_CHECKING:
    from rim_runtime.bundle.folder import Bundle
    from rim_runtime.bundle.packed import PackedBundle
    from rim_runtime.bundle.source import BundleSource

bundle = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="Look at bundles, choose one, copy and remove them.",
    epilog=epilog("rim-edge bundle list", "rim-edge bundle use demo"),
)

NameArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="BUNDLE",
        help="Folder, .zip file or name.",
        show_default="yours",
        autocompletion=bundle_names,
    ),
]
OriginArgument = Annotated[
    str,
    typer.Argument(
        metavar="BUNDLE",
        help="Folder, .zip file or name; trust one only if you know where it comes from.",
        autocompletion=bundle_names,
    ),
]


@bundle.command("list", cls=Command, epilog=epilog("rim-edge bundle list", "rim-edge bundle list --json"))
def list_(as_json: JsonOption = False) -> None:
    """List the bundles here; `ask` uses the marked one."""
    from rim_runtime.bundle.names import default_trouble, list_bundles

    from rim_edge.cli.show.bundle import print_list, summary

    summaries = [summary(entry) for entry in list_bundles()]
    if trouble := default_trouble():
        note(trouble)
    if as_json:
        print_json({"bundles": [one.to_json() for one in summaries]})
    else:
        print_list(summaries)


@bundle.command(cls=Command, epilog=epilog("rim-edge bundle use demo", "rim-edge bundle use path/to/bundle"))
def use(name: BundleArgument, as_json: JsonOption = False) -> None:
    """Make a bundle the one that `ask` uses."""
    from rim_runtime.bundle.names import find_bundle, use_bundle
    from rim_runtime.bundle.packed import open_source

    with open_source(find_bundle(name)):
        pass  # it can be read
    chosen = use_bundle(name)
    if as_json:
        print_json({"name": chosen.name, "path": str(chosen.path), "default": chosen.default})
    else:
        console().print(f"'rim-edge ask' now uses {chosen.name}.")


@bundle.command(
    cls=Command,
    epilog=epilog("rim-edge bundle verify demo --json", "rim-edge bundle verify path/to/signed --key public.pem"),
)
def verify(name: NameArgument = None, key: PublicKeyOption = None, as_json: JsonOption = False) -> None:
    """Hash every file of a bundle against its manifest, and check who signed it; exit 3 if something differs."""
    from rim_runtime.bundle.source import signature_bytes

    with _opened(name) as checked, runtime_line() as progress:
        checked.verify(progress)
        signed_by, is_signed = checked_signature(checked, key), signature_bytes(checked) is not None
        manifest, extra = checked.manifest, checked.unlisted_files()
    size = sum(entry.bytes for entry in manifest.files.values())
    body = {"name": manifest.name, "path": checked.where, "ok": True, "bytes": size}
    if as_json:
        told = {"signed": is_signed, "key_sha256": signed_by and signed_by.key_sha256}
        print_json(body | {"files": list(manifest.files), "unlisted": extra} | told)
        return
    console().print(f"{manifest.name}: all {len(manifest.files)} files are whole ({megabytes(size)}).")
    if signed_by:
        console().print(f"It is signed by the owner of {key}.")
    elif is_signed:
        console().print("It is signed; by whom was not checked: --key FILE, with the maker's public key.")
    if extra:
        console().print(f"Not part of the bundle, and never read: {', '.join(extra)}")


@bundle.command(
    cls=Command,
    epilog=epilog("rim-edge bundle trust path/to/bundle", "rim-edge bundle trust path/to/signed --key public.pem"),
)
def trust(name: OriginArgument, key: PublicKeyOption = None, as_json: JsonOption = False) -> None:
    """Let this machine load a bundle's TensorRT plans, which are code; exit 3 if a file is not whole.

    With a key, only if its owner signed the bundle.
    """
    from rim_runtime.bundle import trust

    with _opened(name) as checked, runtime_line() as progress:
        checked.verify(progress)
        checked_signature(checked, key)
    if checked.manifest.plans:
        trust.trust(checked.manifest)
    _tell_trust(checked, as_json, "its plans may be loaded here, as long as nothing in the bundle changes")


@bundle.command(
    cls=Command, epilog=epilog("rim-edge bundle untrust path/to/bundle", "rim-edge bundle untrust demo --json")
)
def untrust(name: OriginArgument, as_json: JsonOption = False) -> None:
    """Load a bundle's TensorRT plans no longer: they are built here from its graphs instead."""
    from rim_runtime.bundle import trust

    with _opened(name) as opened:
        trust.untrust(opened.manifest)
    _tell_trust(opened, as_json, "its plans are not loaded here")


def _tell_trust(bundle: BundleSource, as_json: bool, text: str) -> None:
    from rim_runtime.bundle.trust import is_trusted

    manifest = bundle.manifest
    if as_json:
        body = {"name": manifest.name, "path": bundle.where, "manifest_sha256": manifest.sha256}
        print_json(body | {"trusted": is_trusted(manifest), "plans": [plan.file for plan in manifest.plans]})
    else:
        console().print(f"{manifest.name}: {text if manifest.plans else 'it has no TensorRT plans'}.")


@bundle.command(cls=Command, epilog=epilog("rim-edge bundle info", "rim-edge bundle info demo --json"))
def info(name: NameArgument = None, as_json: JsonOption = False) -> None:
    """Show what a bundle says about itself."""
    with _opened(name) as opened:
        body = _info(opened)
    if as_json:
        print_json(body)
        return
    from rim_edge.cli.show.bundle import print_info

    print_info(body)


bundle.command(
    cls=Command,
    epilog=epilog("rim-edge bundle copy demo path/to/copy", "rim-edge bundle copy mine path/to/mine --json"),
)(copy)
bundle.command(
    cls=Command,
    epilog=epilog("rim-edge bundle optimum mine path/to/folder", "rim-edge bundle optimum mine folder --json"),
)(optimum)
bundle.command(
    cls=Command,
    epilog=epilog(
        "rim-edge bundle sign mine --key key.pem",
        "rim-edge bundle sign mine --key key.pem --passphrase-file passphrase.txt",
    ),
)(sign)
bundle.command(
    cls=Command,
    epilog=epilog("rim-edge bundle sbom demo", "rim-edge bundle sbom mine --save bom.json"),
)(sbom)
bundle.command(
    cls=Command,
    epilog=epilog(
        "rim-edge bundle triton mine path/to/models", "rim-edge bundle triton demo models-32 --max-batch 32"
    ),
)(triton)
bundle.command(
    "compare",
    cls=Command,
    epilog=epilog("rim-edge bundle compare demo mine", "rim-edge bundle compare demo mine --rows test.jsonl"),
)(compare)
bundle.command(
    cls=Command, epilog=epilog("rim-edge bundle remove mine", "rim-edge bundle remove path/to/copy --yes --json")
)(remove)


bundle.command(
    cls=Command,
    epilog=epilog(
        "rim-edge bundle vectors demo vectors.json", "rim-edge bundle vectors demo more.json --rows test.jsonl"
    ),
)(vectors)


@contextmanager
def _opened(name: str | None) -> Iterator[Bundle | PackedBundle]:
    """Open a bundle to look at it: nothing is unpacked."""
    from rim_runtime.bundle.names import resolve_bundle
    from rim_runtime.bundle.packed import open_source

    with open_source(resolve_bundle(name).path) as opened:
        yield opened


def _info(bundle: Bundle | PackedBundle) -> dict[str, Any]:
    import dataclasses

    from rim_runtime.bundle.roles import abilities
    from rim_runtime.bundle.source import signature_bytes
    from rim_runtime.bundle.trust import is_trusted
    from rim_runtime.bundle.widened import widened_parts

    manifest = bundle.manifest
    return {
        "name": manifest.name,
        "path": bundle.where,
        "manifest_sha256": manifest.sha256,
        "signed": signature_bytes(bundle) is not None,
        "source": dataclasses.asdict(manifest.source),
        "tools": dict(manifest.tools),
        "blocks": manifest.prompt.blocks,
        "memory_tokens": manifest.prompt.memory_tokens,
        "prefix": manifest.prompt.prefix_text,
        "letters": "".join(manifest.letters),
        "answers": list(abilities(manifest)),
        "limits": dataclasses.asdict(manifest.limits),
        "variants": [
            dataclasses.asdict(variant)
            | {"bytes": manifest.files[variant.graph].bytes + manifest.files[variant.data].bytes}
            | {"widened": dict(widened_parts(manifest, variant.name))}
            for variant in manifest.variants
        ],
        "plans": [dataclasses.asdict(plan) for plan in manifest.plans],
        "trusted": is_trusted(manifest),
        "certificate": bundle.certificate(),
    }
