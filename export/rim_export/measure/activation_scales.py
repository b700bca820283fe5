"""fp8: each product's activation gets a constant scale, or each token its own where the constant one errs more.

A first token can be thousands of times larger than the others. A constant scale that holds it leaves E4M3 few bits
for them, and one that does not cuts it off. Then row normalisation (recipes/rows.py) is worth its extra kernels.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from rim_export.measure.calibration import ObservedLayer
from rim_export.measure.reference import PROBES
from rim_export.measure.streamed import mean_error
from rim_export.recipes.fp8 import round_range
from rim_export.recipes.matrices import FP8_ROWS
from rim_export.recipes.rows import round_rows
from rim_export.settings import RangeMethod
from rim_export.weights.rotation import Rotation

MOST_TIMES = 1.1
"""How many times a constant scale may err as much as each token's own."""


def activation_scales(
    seen: ObservedLayer, method: RangeMethod, rotation: Rotation | None
) -> Mapping[str, float | None]:
    """Return the range of the activation of each of a layer's products, by the weight's name; None: by row.

    Errors are those of the first PROBES prompts' activations, as the rotated model has them: relative, and the
    mean of all tokens, so that one massive token neither hides the others nor is hidden by them.
    """
    ranges = {name: reach.range(method, round_range) for name, reach in seen.reaches.items()}
    inputs: dict[str, list[torch.Tensor]] = {name: [] for name in ranges}
    seen.layer.advance(seen.before[:PROBES], lambda name, activations: inputs[name].append(activations))
    found: dict[str, float | None] = {}
    for name, reach in ranges.items():
        exact = [torch.cat(inputs.pop(name))]
        if rotation is not None:
            exact = [rotation.turn_input(name, exact[0])]
        constant, own = (
            mean_error([rounded], exact, exact)
            for rounded in (round_range(exact[0], reach), round_rows(exact[0], FP8_ROWS))
        )
        found[name] = reach if constant <= MOST_TIMES * own else None
    return found
