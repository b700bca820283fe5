"""The losses: weights of the readouts, and their negative log-likelihood.

Stage 1: L1(s) = -Σ_t λ_t(s) · log p(r_t), λ_t(s) = max(0, 1 - s / (S·t/T)), with this sample's own T.
Stage 2: L2 = -Σ_k α_k · log p(y | k blocks), α_k = 2k / (K(K+1)).
log p of a readout is the sum over its labelled tokens, or their mean (`Stage.reduction`). A batch's loss is the
weighted sum over its readouts, divided by what `Stage.normalisation` says of the whole batch, however processes
and passes share its rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from rim_edge.methods.rim.encode import Readout, Sample
from rim_edge.methods.rim.packing import PackedBatch
from rim_edge.methods.token_nll import token_nll
from rim_edge.recipe.curriculum import Stage
from rim_edge.recipe.switches import Anneal, BlockWeights, LastStep, Normalisation, Objective, Reduction

_STEPWISE = (Objective.STEPS, Objective.MARKED_STEPS)


def anneal_weight(step: int, total: int, place: int, count: int) -> float:
    """Return λ of readout `place` (1..count) at step `step` (0..total-1) of a stage of `total` steps."""
    return max(0.0, 1.0 - step / (total * place / count)) if step else 1.0


def block_weight(kind: BlockWeights, place: int, count: int) -> float:
    """Return α of the answer after block `place` (1..count); they sum to 1."""
    match kind:
        case BlockWeights.RISING:
            return 2.0 * place / (count * (count + 1))
        case BlockWeights.FLAT:
            return 1.0 / count
        case BlockWeights.LAST:
            return float(place == count)


def readout_weights(samples: Sequence[Sample], stage: Stage, step: int) -> Tensor:
    """Return the loss weight of every readout of a batch: float32 [readouts]."""
    return torch.tensor([weight for _, weight in _weighted(samples, stage, step)])


def batch_size(samples: Sequence[Sample], stage: Stage, step: int) -> float:
    """Return these samples' share of the number that the batch's loss is divided by."""
    if stage.normalisation is Normalisation.TOKENS:
        return sum(weight * labelled(readout) for readout, weight in _weighted(samples, stage, step))
    return len(samples)


def weighing(sample: Sample, stage: Stage, step: int) -> Sample:
    """Return a sample without the readouts that weigh nothing at step `step`: they would cost time alone.

    As L1 anneals, half of all the steps' readouts; where the last block's answer alone counts, the others'.
    """
    kept = tuple(one for one in sample.readouts if _weight(stage, step, one.step, sample.count))
    return replace(sample, readouts=kept, omitted=sample.count - len(kept))


def labelled(readout: Readout) -> int:
    """Return the number of a readout's labelled tokens."""
    return sum(readout.labelled)


def _weighted(samples: Sequence[Sample], stage: Stage, step: int) -> Iterator[tuple[Readout, float]]:
    """Give every readout of a batch with its weight, which multiplies the sum over its tokens."""
    for sample in samples:
        for readout in sample.readouts:
            weight = _weight(stage, step, readout.step, sample.count) * _sample_weight(sample, stage)
            yield readout, weight / labelled(readout) if stage.reduction is Reduction.MEAN else weight


def _weight(stage: Stage, step: int, place: int, count: int) -> float:
    if stage.objective is Objective.ANSWER:
        return block_weight(stage.block_weights, place, count)
    kept = place == count and stage.last_step is LastStep.KEEP
    if stage.objective not in _STEPWISE or stage.anneal is Anneal.UNIFORM or kept:
        return 1.0
    if stage.anneal is Anneal.LINEAR:
        return anneal_weight(step, stage.steps, 1, 1)
    return anneal_weight(step, stage.steps, place, count)


def _sample_weight(sample: Sample, stage: Stage) -> float:
    weight = stage.choice_weight if sample.choices else 1.0
    return weight / sample.count if stage.normalisation is Normalisation.READOUTS else weight


def labelled_states(model: Any, batch: PackedBatch) -> Tensor:
    """Return the hidden states at the predictors, [labels, hidden]; the head is applied to these alone."""
    hidden = model.base_model(
        input_ids=batch.ids, attention_mask=batch.mask, position_ids=batch.positions, use_cache=False
    ).last_hidden_state  # (rows, width, hidden)
    return hidden.flatten(0, 1).index_select(0, batch.predictors)  # type: ignore[no-any-return]


def labelled_logits(model: Any, batch: PackedBatch) -> Tensor:
    """Return the logits at the predictors, float32 [labels, vocabulary]."""
    logits: Tensor = model.get_output_embeddings()(labelled_states(model, batch))
    return logits.float()


def readout_nll(model: Any, batch: PackedBatch) -> Tensor:
    """Return -log p of every readout, float32 [readouts]: the sum over its labelled tokens."""
    return sum_by_readout(token_nll(model, labelled_states(model, batch), batch.targets), batch)


def sum_by_readout(nll: Tensor, batch: PackedBatch) -> Tensor:
    """Return float32 [readouts] from the labels' -log p, float32 [labels]."""
    return torch.zeros(batch.readouts, dtype=nll.dtype, device=nll.device).index_add(0, batch.readout, nll)
