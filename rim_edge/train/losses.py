"""The losses: weights of the readouts, and their negative log-likelihood.

Stage 1: L1(s) = -Σ_t λ_t(s) · log p(r_t), λ_t(s) = max(0, 1 - s / (S·t/T)), with this sample's own T.
Stage 2: L2 = -Σ_k α_k · log p(y | k blocks), α_k = 2k / (K(K+1)).
log p of a readout is the sum over its labelled tokens; a batch's loss is the mean over its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own convention)
from torch import Tensor

from rim_edge.train.curriculum import Anneal, LastStep, Objective, Stage
from rim_edge.train.encode import Sample
from rim_edge.train.packing import PackedBatch


def anneal_weight(step: int, total: int, place: int, count: int) -> float:
    """Return λ of readout `place` (1..count) at step `step` (0..total-1) of a stage of `total` steps."""
    return max(0.0, 1.0 - step / (total * place / count))


def rising_weight(place: int, count: int) -> float:
    """Return α of the answer behind block `place` (1..count); they sum to 1."""
    return 2.0 * place / (count * (count + 1))


def readout_weights(samples: Sequence[Sample], stage: Stage, step: int) -> Tensor:
    """Return the loss weight of every readout of a batch: float32 [readouts]."""
    weights = [
        _weight(stage, step, readout.step, len(sample.readouts))
        for sample in samples
        for readout in sample.readouts
    ]
    return torch.tensor(weights)


def _weight(stage: Stage, step: int, place: int, count: int) -> float:
    if stage.objective is Objective.ANSWER:
        return rising_weight(place, count)
    kept = place == count and stage.last_step is LastStep.KEEP
    if stage.objective is Objective.TEXT or stage.anneal is Anneal.UNIFORM or kept:
        return 1.0
    return anneal_weight(step, stage.steps, place, count)


def labelled_logits(model: Any, batch: PackedBatch) -> Tensor:
    """Return the logits at the predictors, float32 [labels, vocabulary]; only these positions meet the head."""
    hidden = model.base_model(
        input_ids=batch.ids, attention_mask=batch.mask, position_ids=batch.positions, use_cache=False
    ).last_hidden_state  # (rows, width, hidden)
    wanted = hidden.flatten(0, 1).index_select(0, batch.predictors)  # (labels, hidden)
    logits: Tensor = model.get_output_embeddings()(wanted)
    return logits.float()


def readout_nll(logits: Tensor, batch: PackedBatch, readouts: int) -> Tensor:
    """Return -log p of every readout, float32 [readouts]: the sum over its labelled tokens."""
    nll = F.cross_entropy(logits, batch.targets, reduction="none")  # (labels,)
    return torch.zeros(readouts, dtype=nll.dtype).index_add(0, batch.readout, nll)
