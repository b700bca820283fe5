"""`rim-edge export`: turn a checkpoint into a verified bundle."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

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
from rim_runtime.bundle.manifest import Head
from rim_runtime.engines.names import EngineName

from rim_edge.cli.exporting.options import (
    ActivationsOption,
    AnswersOption,
    BlockSizeOption,
    BlocksOption,
    CalibrationOption,
    CertifyOption,
    DialectOption,
    GoldenOption,
    HeadOption,
    InstructionOption,
    KeepGoingOption,
    LatentStepsOption,
    MaxFlipsOption,
    MaxFlipsUpperOption,
    MaxLengthOption,
    MemoryTokensOption,
    ModelOption,
    OutputOption,
    PrecisionOption,
    PrefixOption,
    ProjectionHeadOption,
    RangesOption,
    ReportOption,
    RoundingOption,
    SmoothOption,
    TargetOption,
    TemplateOption,
    TraceOption,
)
from rim_edge.cli.options import EngineOption, JsonOption
from rim_edge.cli.output import note, print_json
from rim_edge.cli.show.export import export_body, print_export

if TYPE_CHECKING:
    from rim_export import ExportReport


def export(
    model: ModelOption = None,
    output: OutputOption = None,
    precision: PrecisionOption = None,
    engine: EngineOption = EngineName.AUTO,
    target: TargetOption = None,
    answers: AnswersOption = AnswerForm.LETTERS,
    trace: TraceOption = False,
    latent_steps: LatentStepsOption = None,
    projection_head: ProjectionHeadOption = None,
    instruction: InstructionOption = None,
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
        trace=trace,
        latent_steps=latent_steps,
        projection_head=projection_head,
        instruction=instruction,
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
