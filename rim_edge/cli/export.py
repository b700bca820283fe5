"""`rim-edge export`: turn a checkpoint into a verified bundle. Options stand in the order of the help page."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from rim_edge.cli.options import EngineOption, JsonOption
from rim_edge.cli.output import console, note, print_json

if TYPE_CHECKING:
    from rim_export import ExportReport

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
Member = TypeVar("Member", bound=StrEnum)
_WORDS = {"Activations": "form of activations", "RangeMethod": "choice of ranges"}


def export(
    model: ModelOption = None,
    output: OutputOption = None,
    precision: PrecisionOption = None,
    engine: EngineOption = "auto",
    target: TargetOption = None,
    blocks: BlocksOption = None,
    memory_tokens: MemoryTokensOption = None,
    prefix: PrefixOption = None,
    head: HeadOption = "letters",
    max_length: MaxLengthOption = 2048,
    max_flips: MaxFlipsOption = 0.02,
    keep_going: KeepGoingOption = False,
    certify: CertifyOption = None,
    calibration: CalibrationOption = None,
    activations: ActivationsOption = "tensor",
    ranges: RangesOption = "max",
    block_size: BlockSizeOption = 128,
    dialect: DialectOption = None,
    smooth: SmoothOption = False,
    as_json: JsonOption = False,
) -> None:
    """Turn a checkpoint into a verified bundle."""
    from rim_runtime.bundle.manifest import Dialect, Head, parse_precision
    from rim_runtime.bundle.names import is_own
    from rim_runtime.engines.names import EngineName, parse_engine
    from rim_runtime.engines.registry import require_engine
    from rim_runtime.machine.folders import bundles_folder
    from rim_runtime.machine.storage import refuse_existing

    from rim_edge.extras import require_extra

    runs_on = parse_engine(engine)
    chosen = None if precision is None else parse_precision(precision)
    rows = _member(Head, head)
    form = None if dialect is None else _member(Dialect, dialect)
    require_extra("export", "Exporting")
    require_engine(EngineName.ORT_CPU)  # the variant is checked by answering
    import rim_export

    source = model or rim_export.DEFAULT_MODEL
    folder = output or bundles_folder() / Path(source).absolute().name
    refuse_existing(folder)
    options = rim_export.ExportOptions(
        precision=chosen or rim_export.default_precision(runs_on),
        engine=runs_on,
        targets=tuple(target or ()),
        head=rows,
        blocks=blocks,
        memory_tokens=memory_tokens,
        prefix=prefix,
        max_length=max_length,
        max_flips=max_flips,
        keep_going=keep_going,
        certify=certify,
        calibration=calibration,
        activations=_member(rim_export.Activations, activations),
        ranges=_member(rim_export.RangeMethod, ranges),
        block_size=block_size,
        dialect=form,
        smooth=smooth,
    )
    with _progress() as progress:
        report = rim_export.export(source, folder, options, progress=progress)
    if runs_on is EngineName.OPENVINO:
        note("the certificate is ort-cpu's; openvino has to pass the golden questions when it first loads this")
    _finish(report, as_default=is_own(folder), as_json=as_json)


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
        print_json(_body(report, as_default))
    else:
        _print(report, as_default)


def _body(report: ExportReport, as_default: bool) -> dict[str, object]:
    import dataclasses

    return {
        "name": report.manifest.name,
        "path": str(report.bundle.absolute()),
        "default": as_default,
        "precision": report.manifest.variants[0].precision,
        "plans": [dataclasses.asdict(plan) for plan in report.manifest.plans],
        "bytes": sum(entry.bytes for entry in report.manifest.files.values()),
        "seconds": report.seconds,
        "notes": report.notes,
        "certificate": dataclasses.asdict(report.certificate),
    }


def _print(report: ExportReport, as_default: bool) -> None:
    from rich.text import Text

    out = console()
    size = sum(entry.bytes for entry in report.manifest.files.values()) / 1e6
    head = Text.assemble(
        "\n  ", (report.manifest.name, "bold green"), f"   {size:,.1f} MB in {report.seconds:,.0f} s\n"
    )
    out.print(head)
    for variant in report.certificate.variants:
        same = variant.n - variant.flips
        out.print(f"  {variant.variant} answers {same:,} of {variant.n:,} questions like the checkpoint")
        low, high = variant.flips_interval
        out.print(f"  with 95 % confidence it changes {low:.1%} to {high:.1%} of the letters")
        if variant.accuracy is not None and variant.reference_accuracy is not None:
            right = f"right on {variant.accuracy:.1%} of {variant.labelled:,}"
            out.print(f"  {right} with a known answer; the checkpoint on {variant.reference_accuracy:.1%}")
        if variant.wide_layers:
            out.print(f"  layers kept wide: {', '.join(map(str, variant.wide_layers))}")
    out.print(Text(f"\n  {report.bundle.absolute()}", "dim"))
    path = "" if as_default else f" --bundle {report.bundle}"
    told = "'rim-edge ask' uses it from now on." if as_default else f'Ask it: rim-edge ask "…"{path}'
    out.print(f"  {told}\n")


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


def _member(kind: type[Member], word: str) -> Member:
    """Return the member of this name. Raises InputError."""
    from rim_runtime.errors import InputError

    if word not in [member.value for member in kind]:
        what = _WORDS.get(kind.__name__, kind.__name__.lower())
        raise InputError(f"There is no {what} {word!r}, expected one of {', '.join(kind)}.")
    return kind(word)
