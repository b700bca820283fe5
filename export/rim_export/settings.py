"""What can be chosen about an export, checked as soon as it is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from pathlib import Path

from rim_runtime.bundle.manifest import Dialect, Head, Precision
from rim_runtime.engines.names import EngineName
from rim_runtime.engines.support import SUPPORT
from rim_runtime.errors import InputError

DEFAULT_MAX_LENGTH = 2048
DEFAULT_BLOCK_SIZE = 128
GPUS_ALONE = (Precision.BF16, Precision.FP16, Precision.NVFP4)
"""Precisions that are written for GPUs, whichever engine is chosen."""
_WIDER = {
    Precision.INT8: Precision.FP32,
    Precision.INT4: Precision.INT8,
    Precision.FP8: Precision.INT8,
    Precision.NVFP4: Precision.FP8,
}
"""The next precision that comes closer to the checkpoint."""
ROUNDED = (Precision.INT8, Precision.FP8, Precision.INT4)
"""Precisions whose weights are rounded as `Rounding` says."""
_INT4_COST = (
    "int4 is coarse: of SmolLM2-135M's most likely next tokens it keeps 86 in 100 in blocks of 32, "
    "82 in blocks of 128. docs/precisions.md says more."
)
_SUITED = {EngineName.TRT: Precision.FP8, EngineName.ORT_CUDA: Precision.BF16}


class BlockSize(IntEnum):
    """Block sizes that every engine's int4 products take."""

    B32 = 32
    B128 = 128


class RangeMethod(StrEnum):
    """How an activation's range is chosen from its measured values."""

    MAX = "max"
    """The largest absolute value."""
    PERCENTILE = "percentile"
    """The 99.99th percentile of the absolute values; larger ones are clipped."""
    MSE = "mse"
    """The range with the least squared error in the number format."""


class Activations(StrEnum):
    """How activations get their scales in fp8."""

    TENSOR = "tensor"
    """A calibrated constant for each activation: no extra kernels on a GPU."""
    ROW = "row"
    """By row normalisation: nothing is calibrated, and no outlier token affects the others."""


class Rounding(StrEnum):
    """How weights are rounded to int8, fp8 and int4."""

    GPTQ = "gptq"
    """So that products change least on calibration questions."""
    NEAREST = "nearest"
    """Each to the nearest number: nothing is calibrated, and the export takes less time."""


_DIALECTS: Mapping[Precision, tuple[Dialect, ...]] = {Precision.INT4: (Dialect.ORT, Dialect.PORTABLE)}


def dialects_of(precision: Precision) -> tuple[Dialect, ...]:
    """Return the forms in which a precision is written, the default one first."""
    return _DIALECTS.get(precision, (Dialect.PORTABLE,))


def default_precision(engine: EngineName) -> Precision:
    """Return the precision that is exported for an engine if none is chosen."""
    return _SUITED.get(engine, Precision.INT8)


class AnswerForm(StrEnum):
    """What a bundle answers with."""

    LETTERS = "letters"
    """The letter of an offered option, in one pass."""
    TEXT = "text"
    """Letters, and text: a decoder is written too."""


@dataclass(frozen=True)
class ExportOptions:
    """The options of an export; None takes what the checkpoint says."""

    precision: Precision = Precision.INT8
    """Precision of the variants; `default_precision` says what suits an engine."""
    engine: EngineName = EngineName.AUTO
    """The engine they are for. For a GPU engine, or a precision for GPUs only, an int8 variant for CPUs is written
    first; for `trt`, plans are built too."""
    targets: tuple[str, ...] = ()
    """trt: GPUs that plans are built for, as in `sm_89`; empty: the default ones that support the precision."""
    answers: AnswerForm = AnswerForm.LETTERS
    """What the bundle answers with."""
    trace: bool = False
    """Whether a trace is written too: what is answered after every memory block, in one pass."""
    head: Head = Head.LETTERS
    """Rows of the output projection in the graph."""
    blocks: int | None = None
    """K; None: the checkpoint's, else the card's 8. 0: none, as for a chat model without RiM tokens."""
    memory_tokens: int | None = None
    """M; None: the checkpoint's, else the card's 2."""
    prefix: str | None = None
    """Answer prefix; None: the checkpoint's, else the card's."""
    latent_steps: int | None = None
    """text: latent steps before an answer; None: the checkpoint's, or what QThink's cards say where there is a
    projection head. 0: none."""
    projection_head: Path | None = None
    """The projection head of latent steps; None: the checkpoint's, if it has one."""
    instruction: str | None = None
    """What stands before each question of a model with latent steps; None: the checkpoint's."""
    template: Path | None = None
    """A file with a chat template (Jinja), in place of the checkpoint's."""
    max_length: int = DEFAULT_MAX_LENGTH
    """Longest prompt in tokens; the model's positions limit it too."""
    max_flips: float = 0.02
    """Largest share of certificate questions, 0..1, whose answers may differ from the checkpoint's. Near ties,
    flips to a letter that it holds nearly as likely as its own, do not count."""
    max_flips_upper: float | None = None
    """Largest upper end, 0..1, of the 95 % interval of that share; None: whatever it is."""
    keep_going: bool = False
    """Whether a variant that fails is tried again with what errs most in it kept wider, product by product."""
    certify: Path | None = None
    """The user's own questions (JSONL, or gzipped JSONL); None: the set that ships."""
    golden: Path | None = None
    """Candidates for the golden questions, which travel in the bundle; None: drawn from the certificate's file."""
    report: Path | None = None
    """A new file for what every attempt answered, written whether the export passes or is refused."""
    calibration: Path | None = None
    """Questions to measure activations on, in the same format; None: the set that ships."""
    activations: Activations = Activations.TENSOR
    """fp8: how activations get their scales."""
    ranges: RangeMethod = RangeMethod.MAX
    """fp8 per tensor: how an activation's range is chosen."""
    block_size: int = DEFAULT_BLOCK_SIZE
    """int4: weights that share a scale, 32 or 128."""
    dialect: Dialect | None = None
    """The only dialect to write; None: every dialect the precision has."""
    rounding: Rounding = Rounding.GPTQ
    """int8, fp8 and int4: how weights are rounded."""
    smooth: bool = False
    """int8: whether outlier channels are moved from the activations into the weights."""
    name: str | None = None
    """The bundle's name; None: the target folder's."""

    @property
    def for_gpus(self) -> bool:
        """Whether the variants are for GPUs, in 16 bits."""
        return self.engine in (EngineName.TRT, EngineName.ORT_CUDA) or self.precision in GPUS_ALONE

    @property
    def calibrates(self) -> bool:
        """Whether activations are measured."""
        rounds = self.rounding is Rounding.GPTQ and (self.for_gpus or self.precision in ROUNDED)
        return rounds or self.must_calibrate

    @property
    def by_tensor(self) -> bool:
        """fp8: whether activations have constant scales, which are measured."""
        return self.precision is Precision.FP8 and self.activations is Activations.TENSOR

    @property
    def must_calibrate(self) -> bool:
        """Whether there is no such export without measured activations, or none worth having."""
        coarse = self.precision is Precision.INT4 and self.rounding is Rounding.GPTQ
        return self.by_tensor or coarse or self.needs_headroom or self.smooth

    @property
    def needs_headroom(self) -> bool:
        """Whether it is measured if activations fit fp16."""
        return self.for_gpus and self.precision is not Precision.BF16

    @property
    def warnings(self) -> tuple[str, ...]:
        """What these options are known to cost, to be said before an export starts."""
        return (_INT4_COST,) if self.precision is Precision.INT4 else ()

    @property
    def closer(self) -> tuple[str, ...]:
        """Options that come closer to the checkpoint than these, as they are written on the command line."""
        precision, wider = self.precision, _WIDER.get(self.precision)
        least = int(min(BlockSize))
        choices = (
            ("--smooth", precision is Precision.INT8 and not self.smooth and not self.for_gpus),
            (f"--block-size {least}", precision is Precision.INT4 and self.block_size > least),
            ("--activations row", precision is Precision.FP8 and self.activations is Activations.TENSOR),
            (f"--precision {wider}", wider is not None),
        )
        return tuple(option for option, applies in choices if applies)

    def __post_init__(self) -> None:
        if not 0.0 <= self.max_flips <= 1.0:
            raise InputError(f"max_flips is {self.max_flips}, expected a share from 0 to 1.")
        upper = self.max_flips_upper
        if upper is not None and not 0.0 < upper <= 1.0:
            raise InputError(f"max_flips_upper is {upper}, expected a share above 0, at most 1.")
        if self.max_length < 1:
            raise InputError(f"max_length is {self.max_length}, expected at least 1 token.")
        if self.blocks == 0 and self.memory_tokens is not None:
            raise InputError(
                f"memory_tokens is {self.memory_tokens}, but there are no blocks to hold them (blocks is 0). "
                "Leave one of the two out."
            )
        if self.block_size not in list(BlockSize):
            sizes = " or ".join(str(int(size)) for size in BlockSize)
            raise InputError(f"block_size is {self.block_size}, expected {sizes}.")
        self._check_engine()
        self._check_answers()
        self._check_trace()
        self._check_latent()
        self._check_belongs("smooth", self.smooth, Precision.INT8)
        self._check_belongs("activations row", self.activations is not Activations.TENSOR, Precision.FP8)
        self._check_belongs(f"ranges {self.ranges}", self.ranges is not RangeMethod.MAX, Precision.FP8)
        self._check_belongs(f"block_size {self.block_size}", self.block_size != DEFAULT_BLOCK_SIZE, Precision.INT4)
        if self.rounding is not Rounding.GPTQ and self.precision not in ROUNDED and not self.for_gpus:
            raise InputError(
                f"rounding {self.rounding} was chosen, but {self.precision} rounds no weights to fewer bits. "
                "Leave it out."
            )
        if self.calibration and not self.calibrates:
            raise InputError(
                f"A calibration file was given, but this {self.precision} export measures no activations. "
                "Leave it out."
            )
        written = dialects_of(self.precision)
        if self.dialect and (self.dialect not in written or (self.for_gpus and self.dialect is Dialect.ORT)):
            raise InputError(
                f"There is no {self.dialect} form of {self.precision}, expected {' or '.join(written)}."
            )

    def _check_engine(self) -> None:
        fit = SUPPORT.get(self.engine)
        if fit and self.precision not in (*fit.made_for, *fit.runs):
            raise InputError(
                f"The engine {self.engine} does not run {self.precision}, expected one of "
                f"{', '.join((*fit.made_for, *fit.runs))}. Take another --precision or --engine."
            )
        if self.for_gpus and self.precision is Precision.FP32:
            raise InputError(
                "fp32 has no 16-bit form, as GPUs take it. Take --precision bf16, or leave --engine out."
            )
        if self.for_gpus and self.smooth:
            raise InputError("smooth was chosen, but it is for CPUs alone. Leave it out, or leave --engine out.")
        if self.targets and self.engine is not EngineName.TRT:
            raise InputError(
                f"targets were chosen ({', '.join(self.targets)}), but only the engine trt builds plans. "
                "Add --engine trt, or leave them out."
            )

    def _check_answers(self) -> None:
        if self.answers is AnswerForm.TEXT and self.for_gpus:
            raise InputError(
                f"answers text were chosen, but decoders are for CPUs alone: {self.precision} for "
                f"{self.engine} would have none. Leave --engine out and take int8, int4, fp8 or fp32."
            )

    def _check_latent(self) -> None:
        given = {
            "latent_steps": self.latent_steps,
            "projection_head": self.projection_head,
            "instruction": self.instruction,
        }
        names = ", ".join(name for name, value in given.items() if value is not None)
        if names and self.answers is not AnswerForm.TEXT:
            raise InputError(f"{names}: this is for answers in text. Add --answers text, or leave it out.")
        if self.latent_steps is not None and self.latent_steps < 0:
            raise InputError(f"latent_steps is {self.latent_steps}, expected a whole number from 0.")
        if self.latent_steps == 0 and (self.projection_head or self.instruction):
            raise InputError(f"{names}: without latent steps there is nothing to project or to instruct.")
        if self.latent_steps and self.blocks:
            raise InputError(
                f"latent_steps is {self.latent_steps} and blocks is {self.blocks}, expected one of the two: a "
                "model takes latent steps, or it has memory blocks."
            )

    def _check_trace(self) -> None:
        if self.trace and self.for_gpus:
            raise InputError(
                f"trace was chosen, but traces are for CPUs alone: {self.precision} for {self.engine} would have "
                "none. Leave --engine out and take int8, int4, fp8 or fp32."
            )
        if self.trace and self.blocks == 0:
            raise InputError("trace was chosen, but there are no blocks to trace (blocks is 0). Leave one out.")

    def _check_belongs(self, option: str, chosen: bool, precision: Precision) -> None:
        if chosen and self.precision is not precision:
            raise InputError(
                f"{option} was chosen, but the precision is {self.precision} and {precision} alone takes it. "
                "Leave it out."
            )
