"""Whether a checkpoint's activations stay well within fp16's range.

In a 16-bit graph, the residual stream, norms and readout are fp32 (recipes/narrow_compute.py). The inputs and
outputs of products and the inputs of attention are fp16; calibration questions show their largest values. Where
weights are rotated, they are those of the rotated model: what the stream gets in one channel is spread over all.
What follows the last layer is not measured: the final norm, and the products of a full output projection. Where
those are too large, logits are not finite, and the certificate refuses the variant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rim_export.errors import HeadroomError
from rim_export.recipes.floats import LARGEST_FP16

LEAST = 4.0
"""fp16's largest number must be at least this many times the largest activation measured."""


@dataclass(frozen=True)
class Headroom:
    """The distance from the largest activation to fp16's largest number."""

    times: float
    """fp16's largest number divided by the largest activation."""
    where: str
    """The product it was found at, by its weight's name."""

    @property
    def suffices(self) -> bool:
        """Whether fp16 may be used."""
        return self.times >= LEAST

    def __str__(self) -> str:
        size = LARGEST_FP16 / self.times
        return f"{size:,.0f} at {self.where}, {self.times:.1f} times below fp16's {LARGEST_FP16:,.0f}"

    def check(self) -> None:
        """Raise HeadroomError unless fp16 may be used."""
        if not self.suffices:
            raise HeadroomError(
                f"The checkpoint's activations reach {self}, expected at least {LEAST:g} times. Nothing was "
                "written. Take --precision bf16, which has the range of fp32."
            )


def headroom(largest: Mapping[str, float]) -> Headroom:
    """Return the headroom, from the largest absolute value at each product by its weight's name."""
    where = max(largest, key=largest.__getitem__)
    return Headroom(LARGEST_FP16 / max(largest[where], 1e-30), where)
