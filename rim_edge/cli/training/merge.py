"""`rim-edge merge`: a base model and a run's adapter, as the checkpoint of that run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rim_edge.cli.options import JsonOption, new_path
from rim_edge.cli.output import print_json

BaseOption = Annotated[
    Path, typer.Option("--model", "-m", metavar="DIR", help="The transformers folder that the run began with.")
]
AdapterOption = Annotated[
    Path, typer.Option("--adapter", metavar="DIR", help="The folder 'adapter' of the run's checkpoint.")
]
OutputOption = Annotated[
    Path, typer.Option("--output", "-o", metavar="DIR", parser=new_path, help="A new folder for the checkpoint.")
]


def merge(model: BaseOption, adapter: AdapterOption, output: OutputOption, as_json: JsonOption = False) -> None:
    """Merge an adapter that `rim-edge train` wrote into its base model: the checkpoint that the run wrote."""
    from rim_edge.extras import require_extra

    require_extra("train", "Merging")
    from rim_runtime.machine.storage import new_folder

    from rim_edge.model.adapter import merge as merge_into

    with new_folder(output) as folder:
        merge_into(model, adapter, folder)
    if as_json:
        print_json({"checkpoint": str(output)})
    else:
        print(output)
