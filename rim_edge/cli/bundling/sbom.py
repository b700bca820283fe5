"""`rim-edge bundle sbom`: a bundle and its tools as a CycloneDX bill of materials."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from rim_edge.cli.options import BundleArgument, JsonOption, new_path
from rim_edge.cli.output import console, print_json

FileOption = Annotated[
    Path | None,
    typer.Option("--save", metavar="FILE", parser=new_path, help="Write it there.", show_default="stdout"),
]


def sbom(name: BundleArgument, save: FileOption = None, as_json: JsonOption = False) -> None:
    """Write what a bundle is made of, and of what tools, as a CycloneDX bill of materials with its model card.

    The same bundle gives the same bytes; SOURCE_DATE_EPOCH sets its time, else it has none.
    """
    from rim_runtime.bundle.names import find_bundle
    from rim_runtime.bundle.packed import open_source
    from rim_runtime.machine.storage import refuse_existing, write_file

    from rim_edge.provenance.sbom import as_text, bill_of_materials, component_count

    if save is not None:
        refuse_existing(save)
    with open_source(find_bundle(name)) as source:
        bill = bill_of_materials(source)
    if save is not None:
        write_file(save, as_text(bill))
    if as_json:
        print_json({"name": source.manifest.name, "path": source.where, "file": save and str(save), "bom": bill})
    elif save is None:
        sys.stdout.write(as_text(bill))
    else:
        what = f"CycloneDX {bill['specVersion']}, {component_count(bill)} components"
        console().print(f"{source.manifest.name}: its bill of materials is in {save} ({what}).")
