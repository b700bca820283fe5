"""The forward pass as a module: what data parallelism wraps, and where bf16 arithmetic begins and ends."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rim_edge.train.losses import readout_nll
from rim_edge.train.packing import PackedBatch
from rim_edge.train.products import through_onednn
from rim_edge.train.recipe import Arithmetic


class Scorer(torch.nn.Module):
    """Gives -log p of every readout of a packed batch; the model's products are made fast, in place."""

    def __init__(self, model: Any, arithmetic: Arithmetic) -> None:
        super().__init__()
        through_onednn(model)
        self.model = model
        self._bf16 = arithmetic is Arithmetic.BF16

    def forward(self, batch: PackedBatch, readouts: int) -> Tensor:
        """Return float32 [readouts]."""
        with torch.autocast(batch.ids.device.type, torch.bfloat16, enabled=self._bf16):
            return readout_nll(self.model, batch, readouts)
