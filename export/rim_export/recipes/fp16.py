"""fp16: for GPUs, where a checkpoint's activations stay well within its range (headroom.py)."""

from __future__ import annotations

import torch
from rim_runtime.manifest import Compute, Precision

from rim_export.recipes.half import half_recipe

FP16 = half_recipe(Precision.FP16, Compute.FP16, torch.float16)
LARGEST = 65504.0
"""The largest fp16 number."""
