"""The options of `rim-edge export`, in the order of its help page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rim_export.checkpoint.folder import DEFAULT_MODEL
from rim_export.settings import Activations, AnswerForm, BlockSize, RangeMethod, Rounding
from rim_runtime.bundle.manifest import Dialect, Head, Precision

from rim_edge.cli.options import MODEL, listed, new_path

LATENT, PROMPT, PROOF, QUANTIZATION = "Latent steps", "Prompt", "Proof", "Quantization"
"""Panels of the help page."""

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="DIR",
        help="Checkpoint folder, or a name in the hub cache.",
        show_default=DEFAULT_MODEL,
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR",
        parser=new_path,
        help="A new folder.",
        show_default="among your bundles",
    ),
]
PrecisionOption = Annotated[
    Precision | None,
    typer.Option(
        "--precision",
        metavar="NAME",
        help=f"{listed(Precision)}.",
        show_default="int8; trt: fp8; ort-cuda: bf16",
        rich_help_panel=MODEL,
    ),
]
TargetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="NAME",
        help="trt: a GPU to build for, as sm_89; repeat it for each.",
        show_default="sm_86, sm_89, sm_120",
        rich_help_panel=MODEL,
    ),
]
AnswersOption = Annotated[
    AnswerForm,
    typer.Option(
        "--answers",
        metavar="NAME",
        help=f"{listed(AnswerForm)}; text adds a decoder over the same weights, for CPUs.",
        rich_help_panel=MODEL,
    ),
]
TraceOption = Annotated[
    bool,
    typer.Option(
        "--trace",
        help="Add a trace over the same weights: the answer after every memory block, in one pass; for CPUs.",
        rich_help_panel=MODEL,
    ),
]
LatentStepsOption = Annotated[
    int | None,
    typer.Option(
        "--latent-steps",
        metavar="N",
        min=0,
        help="text: latent steps before an answer, as QThink, CODI and Coconut take them; 0: none.",
        show_default="the checkpoint's; with a projection head, else 6",
        rich_help_panel=LATENT,
    ),
]
ProjectionHeadOption = Annotated[
    Path | None,
    typer.Option(
        "--projection-head",
        metavar="FILE",
        help="Projection head of the latent steps (.safetensors or .pt).",
        show_default="projection_head.* in the checkpoint, if it is there",
        rich_help_panel=LATENT,
    ),
]
InstructionOption = Annotated[
    str | None,
    typer.Option(
        "--instruction",
        metavar="TEXT",
        help="What stands before each question, in the same turn.",
        show_default="the checkpoint's; with a projection head, else that of QThink's cards",
        rich_help_panel=LATENT,
    ),
]
BlocksOption = Annotated[
    int | None,
    typer.Option(
        "--blocks",
        metavar="N",
        min=0,
        help="Memory blocks; 0: none, for a chat model without RiM tokens.",
        show_default="the checkpoint's, else 8",
        rich_help_panel=PROMPT,
    ),
]
MemoryTokensOption = Annotated[
    int | None,
    typer.Option(
        "--memory-tokens",
        metavar="N",
        min=1,
        help="Memory tokens a block.",
        show_default="the checkpoint's, else 2",
        rich_help_panel=PROMPT,
    ),
]
PrefixOption = Annotated[
    str | None,
    typer.Option(
        "--prefix",
        metavar="TEXT",
        help="Answer prefix.",
        show_default="the checkpoint's",
        rich_help_panel=PROMPT,
    ),
]
TemplateOption = Annotated[
    Path | None,
    typer.Option(
        "--template",
        metavar="FILE",
        help="Chat template (Jinja).",
        show_default="the checkpoint's",
        rich_help_panel=PROMPT,
    ),
]
HeadOption = Annotated[
    Head,
    typer.Option(
        "--head",
        metavar="NAME",
        help=f"{listed(Head)}: rows of the output projection; full keeps the whole vocabulary.",
        rich_help_panel=PROMPT,
    ),
]
MaxLengthOption = Annotated[
    int,
    typer.Option("--max-length", metavar="N", min=1, help="Longest prompt, in tokens.", rich_help_panel=PROMPT),
]
MaxFlipsOption = Annotated[
    float,
    typer.Option(
        "--max-flips",
        metavar="SHARE",
        min=0,
        max=1,
        help="Share of changed letters, near ties aside, that fails it.",
        rich_help_panel=PROOF,
    ),
]
MaxFlipsUpperOption = Annotated[
    float | None,
    typer.Option(
        "--max-flips-upper",
        metavar="SHARE",
        min=0,
        max=1,
        help="Upper end of that share's 95 % interval that fails it.",
        show_default="does not count",
        rich_help_panel=PROOF,
    ),
]
KeepGoingOption = Annotated[
    bool,
    typer.Option(
        "--keep-going",
        help="If it fails, try again with what errs most kept wider, product by product.",
        rich_help_panel=PROOF,
    ),
]
CertifyOption = Annotated[
    Path | None,
    typer.Option(
        "--certify",
        metavar="FILE",
        help="Your own questions to compare on (.jsonl or .json).",
        show_default="288 questions that ship",
        rich_help_panel=PROOF,
    ),
]
GoldenOption = Annotated[
    Path | None,
    typer.Option(
        "--golden",
        metavar="FILE",
        help="Candidates for golden questions, which travel in the bundle word for word.",
        show_default="drawn from --certify",
        rich_help_panel=PROOF,
    ),
]
ReportOption = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="FILE",
        parser=new_path,
        help="Write what every attempt answered and which answers changed (JSON), refused or not.",
        rich_help_panel=PROOF,
    ),
]
CalibrationOption = Annotated[
    Path | None,
    typer.Option(
        "--calibration",
        metavar="FILE",
        help="Your own questions to measure activations on, with --answers text their answers in words too; none "
        "of those to compare on.",
        rich_help_panel=QUANTIZATION,
    ),
]
ActivationsOption = Annotated[
    Activations,
    typer.Option(
        "--activations",
        metavar="NAME",
        help=f"fp8: {listed(Activations)}; measured ranges, or each token by itself.",
        rich_help_panel=QUANTIZATION,
    ),
]
RangesOption = Annotated[
    RangeMethod,
    typer.Option(
        "--ranges",
        metavar="NAME",
        help=f"fp8: {listed(RangeMethod)}; how far an activation's range reaches.",
        rich_help_panel=QUANTIZATION,
    ),
]
BlockSizeOption = Annotated[
    BlockSize,
    typer.Option(
        "--block-size",
        metavar="N",
        help=f"int4: {listed(map(int, BlockSize))} weights that share a scale.",
        rich_help_panel=QUANTIZATION,
    ),
]
DialectOption = Annotated[
    Dialect | None,
    typer.Option(
        "--dialect",
        metavar="NAME",
        help=f"int4: {listed(Dialect)}.",
        show_default="both",
        rich_help_panel=QUANTIZATION,
    ),
]
RoundingOption = Annotated[
    Rounding,
    typer.Option(
        "--rounding",
        metavar="NAME",
        help=f"int8, fp8, int4: how weights are rounded, {listed(Rounding)}; nearest takes less time.",
        rich_help_panel=QUANTIZATION,
    ),
]
SmoothOption = Annotated[
    bool,
    typer.Option(
        "--smooth",
        help="int8: move outliers from activations to weights (takes longer).",
        rich_help_panel=QUANTIZATION,
    ),
]
