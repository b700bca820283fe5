"""Options that several verbs share, so that they read the same everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

QuestionArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="QUESTION", help="The question; '-' or nothing reads it from a pipe.", show_default=False
    ),
]
ChoiceOption = Annotated[
    list[str] | None,
    typer.Option("--choice", "-c", metavar="TEXT", help="An option of the question; repeat it for each."),
]
BundleOption = Annotated[
    str | None,
    typer.Option(
        "--bundle", "-b", metavar="DIR", help="Bundle folder, or a name from 'bundle list'. [default: yours]"
    ),
]
BlocksOption = Annotated[
    int | None,
    typer.Option("--blocks", metavar="K", help="Memory blocks to use; 0 is the control. [default: all]"),
]
EngineOption = Annotated[
    str, typer.Option("--engine", metavar="NAME", help="auto, ort-cpu, openvino, ort-cuda or trt.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one line of JSON.")]
