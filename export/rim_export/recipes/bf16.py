"""bf16: for GPUs; the range of fp32, and what most checkpoints were trained in."""

from __future__ import annotations

import torch
from rim_runtime.manifest import Compute, Precision

from rim_export.recipes.half import half_recipe

BF16 = half_recipe(Precision.BF16, Compute.BF16, torch.bfloat16)
