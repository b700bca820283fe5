"""`rim-edge export`: turn a checkpoint into a verified bundle. Options stand in the order of the help page."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rim_export.checkpoint.folder import DEFAULT_MODEL
from rim_export.settings import (
    DEFAULT_BLOCK_SIZE,
    DEFAULT_MAX_LENGTH,
    Activations,
    AnswerForm,
    BlockSize,
    RangeMethod,
    Rounding,
)
from rim_runtime.bundle.manifest import Dialect, Head, Precision
from rim_runtime.engines.names import EngineName

from rim_edge.cli.options import MODEL, EngineOption, JsonOption, listed, new_path
from rim_edge.cli.output import note, print_json
from rim_edge.cli.show.export import export_body, print_export

if TYPE_CHECKING:
    from rim_export import ExportReport

PROMPT, PROOF, QUANTIZATION = "Prompt", "Proof", "Quantization"
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
        help="Your own questions to measure activations on; none of those to compare on.",
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


def export(
    model: ModelOption = None,
    output: OutputOption = None,
    precision: PrecisionOption = None,
    engine: EngineOption = EngineName.AUTO,
    target: TargetOption = None,
    answers: AnswersOption = AnswerForm.LETTERS,
    blocks: BlocksOption = None,
    memory_tokens: MemoryTokensOption = None,
    prefix: PrefixOption = None,
    template: TemplateOption = None,
    head: HeadOption = Head.LETTERS,
    max_length: MaxLengthOption = DEFAULT_MAX_LENGTH,
    max_flips: MaxFlipsOption = 0.02,
    max_flips_upper: MaxFlipsUpperOption = None,
    keep_going: KeepGoingOption = False,
    certify: CertifyOption = None,
    golden: GoldenOption = None,
    report: ReportOption = None,
    calibration: CalibrationOption = None,
    activations: ActivationsOption = Activations.TENSOR,
    ranges: RangesOption = RangeMethod.MAX,
    block_size: BlockSizeOption = BlockSize(DEFAULT_BLOCK_SIZE),
    dialect: DialectOption = None,
    rounding: RoundingOption = Rounding.GPTQ,
    smooth: SmoothOption = False,
    as_json: JsonOption = False,
) -> None:
    """Turn a checkpoint into a verified bundle."""
    from rim_runtime.bundle.names import is_own
    from rim_runtime.engines.registry import require_engine
    from rim_runtime.machine.folders import bundles_folder

    from rim_edge.extras import require_extra

    started = time.perf_counter()
    require_extra("export", "Exporting")
    require_engine(EngineName.ORT_CPU)  # the variant is checked by answering
    import rim_export

    source = model or DEFAULT_MODEL
    folder = output or bundles_folder() / Path(source).absolute().name
    _refuse_own(folder)
    options = rim_export.ExportOptions(
        precision=precision or rim_export.default_precision(engine),
        engine=engine,
        targets=tuple(target or ()),
        answers=answers,
        head=head,
        blocks=blocks,
        memory_tokens=memory_tokens,
        prefix=prefix,
        template=template,
        max_length=max_length,
        max_flips=max_flips,
        max_flips_upper=max_flips_upper,
        keep_going=keep_going,
        certify=certify,
        golden=golden,
        report=report,
        calibration=calibration,
        activations=activations,
        ranges=ranges,
        block_size=block_size,
        dialect=dialect,
        rounding=rounding,
        smooth=smooth,
    )
    rim_export.check_request(source, folder, options)  # seconds before torch is imported
    for text in options.warnings:
        note(text)
    with _progress() as progress:
        done = rim_export.export(source, folder, options, progress=progress)
    done = replace(done, seconds=time.perf_counter() - started)  # imports and checks included
    if engine is EngineName.OPENVINO:
        note("the certificate is ort-cpu's; openvino has to pass the golden questions when it first loads this")
    _finish(done, as_default=is_own(folder), as_json=as_json)


def _refuse_own(folder: Path) -> None:
    """Raise TargetExistsError, which says how to use it, if the target is already one of the user's bundles."""
    from rim_runtime.bundle.folder import MANIFEST
    from rim_runtime.bundle.names import is_own
    from rim_runtime.errors import TargetExistsError

    if is_own(folder) and (folder / MANIFEST).is_file():
        raise TargetExistsError(
            f"{folder} already exists, expected a new path. To use it: rim-edge bundle use {folder.name}. To "
            f"export again, choose another place (--output), or first: rim-edge bundle remove {folder.name}"
        )


def _finish(report: ExportReport, *, as_default: bool, as_json: bool) -> None:
    from rim_runtime.bundle.names import use_bundle
    from rim_runtime.bundle.trust import trust

    if as_default:
        use_bundle(str(report.bundle.absolute()))
    if report.manifest.plans:
        trust(report.manifest)  # its plans were built on this machine
    for text in report.notes:
        note(text)
    if as_json:
        print_json(export_body(report, as_default=as_default))
    else:
        print_export(report, as_default=as_default)


@contextmanager
def _progress() -> Iterator[Callable[[str, float], None] | None]:
    """Give a progress bar on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("Opening the checkpoint", total=1.0)
        # A full bar would stop the clock at the end of the first of several steps.
        yield lambda text, share: shown.update(task, description=text, completed=min(share, 0.999))
