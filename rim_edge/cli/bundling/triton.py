"""`rim-edge bundle triton`: a bundle as a model of a Triton server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rim_runtime.engines.names import EngineName

from rim_edge.cli.options import BundleArgument, EngineOption, JsonOption, PrecisionOption, new_path
from rim_edge.cli.output import console, print_json
from rim_edge.cli.progress import runtime_line
from rim_edge.cli.show.numbers import megabytes

RepositoryArgument = Annotated[
    Path, typer.Argument(metavar="DIR", parser=new_path, help="The repository; other models may lie there.")
]
MaxBatchOption = Annotated[
    int, typer.Option("--max-batch", metavar="N", min=1, help="Questions that Triton puts into one batch.")
]


def triton(
    name: BundleArgument,
    repository: RepositoryArgument,
    precision: PrecisionOption = None,
    engine: EngineOption = EngineName.AUTO,
    max_batch: MaxBatchOption = 16,
    as_json: JsonOption = False,
) -> None:
    """Write a bundle into a Triton model repository: ONNX Runtime backend, dynamic batching."""
    from rim_runtime.bundle.names import find_bundle
    from rim_runtime.bundle.packed import open_source

    from rim_edge.deployment.triton import TritonOptions, write_triton_model

    with open_source(find_bundle(name)) as source, runtime_line() as progress:
        made = write_triton_model(source, repository, TritonOptions(precision, engine, max_batch), progress)
    size, called = (
        sum(file.stat().st_size for file in made.path.rglob("*") if file.is_file()),
        source.manifest.name,
    )
    if as_json:
        told = {"name": called, "path": str(made.path.absolute()), "variant": made.variant.name}
        print_json(told | {"engine": made.engine, "max_batch": max_batch, "bytes": size})
        return
    what = f"{made.variant.name} on {made.engine}, {megabytes(size)}"
    console().print(f"{called} is at {made.path.absolute()}, as Triton opens it ({what}).")
    console().print(f"Start it where Triton is: tritonserver --model-repository={repository.absolute()}")
