"""Which variants an export for GPUs writes: int8 for CPUs first, then the precision in 16-bit arithmetic.

The arithmetic is fp16 where the activations leave it room: three bits more than bf16, and ONNX Runtime certifies
the very file. Otherwise it is bf16, which is certified in torch.
"""

from __future__ import annotations

from collections.abc import Iterator

from rim_runtime.manifest import Compute, Precision

from rim_export.calibration import ObservedLayer
from rim_export.headroom import Headroom, headroom
from rim_export.recipes import INT8, Activations, Recipe, round_range
from rim_export.recipes.gpu import gpu_recipe
from rim_export.settings import ExportOptions


def gpu_recipes(
    options: ExportOptions, layers: Iterator[ObservedLayer]
) -> tuple[tuple[Recipe, ...], tuple[str, ...]]:
    """Return the recipes, the CPU's first, and what was decided; bf16 looks at no layer.

    Raises HeadroomError where fp16 was asked for and its range is too small.
    """
    if options.precision is Precision.BF16:
        return (INT8, gpu_recipe(Precision.BF16, Compute.BF16, {}, options.block_size)), ()
    by_tensor = options.precision is Precision.FP8 and options.activations is Activations.TENSOR
    largest: dict[str, float] = {}
    ranges: dict[str, float] = {}
    for seen in layers:
        largest |= seen.largest
        if by_tensor:
            ranges |= {name: reach.range(options.ranges, round_range) for name, reach in seen.reaches.items()}
    room = headroom(largest)
    if options.precision is Precision.FP16:
        room.check()
    compute, why = _compute(room)
    return (INT8, gpu_recipe(options.precision, compute, ranges, options.block_size)), (why,)


def _compute(room: Headroom) -> tuple[Compute, str]:
    if room.suffices:
        return Compute.FP16, f"Computes in fp16: activations reach {room}."
    return Compute.BF16, f"Computes in bf16, which has the range of fp32: activations reach {room}."
