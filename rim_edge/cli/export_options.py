"""The options of `rim-edge export`, in the order of its help page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="ID_OR_DIR",
        help="Checkpoint folder, or a name in the hub cache. [default: NDIJayant/OpenMed-qwen3-1.7b-RIM]",
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="DIR", help="A new folder. [default: among your bundles]"),
]
PrecisionOption = Annotated[
    str | None,
    typer.Option(
        "--precision",
        metavar="P",
        help="int8, fp8, int4, bf16, fp16, fp32, nvfp4. [default: int8; trt: fp8; ort-cuda: bf16]",
    ),
]
TargetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--target", metavar="SM", help="trt: a GPU to build for, as sm_89; may be repeated. [default: 86, 89, 120]"
    ),
]
BlocksOption = Annotated[
    int | None, typer.Option(metavar="K", min=1, help="Memory blocks. [default: the checkpoint's, else 8]")
]
MemoryTokensOption = Annotated[
    int | None, typer.Option(metavar="M", min=1, help="Tokens a block. [default: the checkpoint's, else 2]")
]
PrefixOption = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Answer prefix. [default: the checkpoint's]")
]
HeadOption = Annotated[str, typer.Option(metavar="ROWS", help="letters; full keeps the whole vocabulary.")]
MaxLengthOption = Annotated[int, typer.Option(metavar="N", min=1, help="Longest prompt, in tokens.")]
MaxFlipsOption = Annotated[
    float, typer.Option(metavar="SHARE", min=0, max=1, help="Share of changed letters that fails it.")
]
KeepGoingOption = Annotated[
    bool, typer.Option("--keep-going", help="Try again with the costliest layers in fp32, if it fails.")
]
CertifyOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Your own questions to compare on (.jsonl, .jsonl.gz).")
]
CalibrationOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Your own questions to measure activations on; none of them above."),
]
ActivationsOption = Annotated[
    str, typer.Option(metavar="HOW", help="fp8: tensor (measured), or row (each token by itself).")
]
RangesOption = Annotated[
    str, typer.Option(metavar="HOW", help="fp8: reach of an activation by max, percentile or mse.")
]
BlockSizeOption = Annotated[int, typer.Option(metavar="N", help="int4: weights that share a scale, 32 or 128.")]
DialectOption = Annotated[str | None, typer.Option(metavar="FORM", help="int4: portable or ort. [default: both]")]
SmoothOption = Annotated[
    bool, typer.Option("--smooth", help="int8: move outliers from activations to weights (takes longer).")
]
