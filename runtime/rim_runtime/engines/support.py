"""Which variants of a bundle each engine runs, and which of them were made for it.

| engine | made for it | runs as well |
| --- | --- | --- |
| trt | fp8, int8, int4, fp16, bf16 in 16-bit arithmetic | nvfp4, an experiment |
| ort-cuda | bf16, fp16 | fp32 |
| ort-cpu | int8, int4, fp32 in fp32 arithmetic, either dialect | fp8, fp16: checks, wider and slower |
| openvino | int8, int4, fp32 in fp32 arithmetic | fp8 |
"""

from __future__ import annotations

from dataclasses import dataclass

from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.manifest import Compute, Dialect, Precision, Variant
from rim_runtime.engines.names import EngineName


@dataclass(frozen=True)
class EngineSupport:
    """The variants that one engine runs."""

    made_for: tuple[Precision, ...]
    """Precisions that were made for it, in any order: the bundle's order decides."""
    runs: tuple[Precision, ...]
    """Precisions that it runs as well."""
    computes: tuple[Compute, ...]
    """Arithmetic between the products that it has kernels for, the best first."""
    dialects: tuple[Dialect, ...]
    """Dialects that it reads, the best first."""
    export: str
    """The command that makes a variant for it."""

    def takes(self, variant: Variant) -> bool:
        """Whether the engine can run the variant at all."""
        known = variant.precision in (*self.made_for, *self.runs)
        return known and variant.compute in self.computes and variant.dialect in self.dialects

    def suits(self, variant: Variant) -> bool:
        """Whether the variant was made for this engine."""
        return self.takes(variant) and variant.precision in self.made_for

    def __str__(self) -> str:
        precisions = ", ".join((*self.made_for, *self.runs))
        return f"{' or '.join(self.dialects)} {precisions} in {' or '.join(self.computes)} arithmetic"


_NARROW = (Precision.FP8, Precision.INT8, Precision.INT4)
_WIDE = (Precision.BF16, Precision.FP16)
SUPPORT = {
    EngineName.TRT: EngineSupport(
        (*_NARROW, *_WIDE),
        (Precision.NVFP4,),
        (Compute.FP16, Compute.BF16),
        (Dialect.PORTABLE,),
        "rim-edge export --engine trt",
    ),
    EngineName.ORT_CUDA: EngineSupport(
        _WIDE,
        (Precision.FP32,),
        (Compute.BF16, Compute.FP16, Compute.FP32),
        (Dialect.PORTABLE,),
        "rim-edge export --engine ort-cuda",
    ),
    EngineName.OPENVINO: EngineSupport(
        (Precision.INT8, Precision.INT4, Precision.FP32),
        (Precision.FP8,),
        (Compute.FP32,),
        (Dialect.PORTABLE,),
        "rim-edge export --engine openvino",
    ),
    EngineName.ORT_CPU: EngineSupport(
        (Precision.INT8, Precision.INT4, Precision.FP32),
        (Precision.FP8, Precision.FP16),
        (Compute.FP32, Compute.FP16),
        (Dialect.ORT, Dialect.PORTABLE),
        "rim-edge export",
    ),
}
"""By engine, in fallback order."""
Capability = tuple[int, int]
FIRST_CAPABILITY = {
    Precision.BF16: (8, 0),
    Precision.INT4: (8, 0),
    Precision.FP8: (8, 9),
    Precision.NVFP4: (12, 0),
}
"""The first compute capability that supports a number format; a precision that is not listed runs on any GPU."""


def needed_capability(variant: Variant) -> Capability:
    """Return the first compute capability that can run a variant."""
    types = (variant.precision, Precision(variant.compute))
    return max(FIRST_CAPABILITY.get(one, (0, 0)) for one in types)


def choose_variant(
    bundle: Bundle, engine: EngineName, precision: Precision | None = None, capability: Capability | None = None
) -> Variant | None:
    """Return the variant that an engine runs: the bundle's first that was made for it, of this precision if given.

    If none was made for it, return the first that it runs; None if it runs none. With a GPU's compute capability,
    variants whose number formats the GPU lacks are left out.
    """
    fit = SUPPORT[engine]
    able = [
        variant
        for variant in bundle.manifest.variants
        if fit.takes(variant)
        and precision in (None, variant.precision)
        and (capability is None or needed_capability(variant) <= capability)
    ]
    best = [v for v in able if fit.suits(v)] or able
    if not best:
        return None
    return min((v for v in best if v.precision is best[0].precision), key=lambda v: _rank(fit, v))


def has_suited_variant(bundle: Bundle, engine: EngineName) -> bool:
    """Whether the bundle holds a variant that was made for this engine."""
    return any(SUPPORT[engine].suits(variant) for variant in bundle.manifest.variants)


def _rank(fit: EngineSupport, variant: Variant) -> tuple[int, int]:
    return fit.computes.index(variant.compute), fit.dialects.index(variant.dialect)
