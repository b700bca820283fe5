"""A step's samples, cut into passes: by length, made one at a time or all at once, page-locked for a GPU."""

from dataclasses import dataclass, replace

import pytest
import torch

from rim_edge.methods.passes import StepBatch
from rim_edge.methods.qthink.samples import LatentBatch
from rim_edge.methods.rim.encode import Readout, Sample
from rim_edge.methods.rim.method import Rim
from rim_edge.methods.rim.packing import PackedBatch
from rim_edge.recipe.curriculum import Stage
from rim_edge.recipe.switches import Normalisation, Objective

STAGE = Stage("two", Objective.ANSWER, 10, 1e-3, normalisation=Normalisation.ROWS)


@dataclass(frozen=True)
class Encoder:
    contract: object = None


@dataclass(frozen=True)
class Contract:
    block: tuple = (1, 2)


def sample(prompt):
    return Sample(tuple(range(prompt)), 1, (Readout(1, (7, 8), (True, True), 1),))


def batch(*prompts, micro_batch):
    method = Rim(Encoder(Contract()), 0)
    return StepBatch(method, STAGE, 3, [sample(prompt) for prompt in prompts], micro_batch)


def lengths(given):
    return [[len(one.prompt) for one in made.samples] for made in given.passes()]


def tensors(given):
    return [value for value in vars(given).values() if isinstance(value, torch.Tensor)]


@pytest.mark.parametrize(
    ("micro_batch", "expected"),
    [(5, [[9, 2, 7, 4, 3]]), (4, [[2, 3, 4, 7], [9]]), (2, [[2, 3], [4, 7], [9]]), (1, [[2], [3], [4], [7], [9]])],
)
def test_several_passes_are_cut_by_length(micro_batch, expected):
    given = batch(9, 2, 7, 4, 3, micro_batch=micro_batch)
    assert (lengths(given), given.count, given.size) == (expected, len(expected), 5)


def test_what_is_ready_is_the_same_and_is_not_made_again():
    given = batch(9, 2, 7, micro_batch=2)
    ready = given.with_made(given.passes())
    assert [id(one) for one in ready.passes()] == [id(one) for one in ready.cut(2).passes()]
    for one, other in zip(given.passes(), ready.passes(), strict=True):
        assert one.samples == other.samples
        for left, right in zip(
            [one.weights, *tensors(one.batch)], [other.weights, *tensors(other.batch)], strict=True
        ):
            assert torch.equal(left, right)


def test_other_passes_are_made_again():
    given = batch(9, 2, 7, micro_batch=3)
    ready = given.with_made(given.passes())
    assert (ready.cut(1).made, lengths(ready.cut(1))) == ((), [[2], [7], [9]])
    assert ready.cut(1).count == 3


def test_for_a_gpu_every_tensor_is_page_locked(monkeypatch):
    """Without a GPU nothing can be: what is asked for is seen, and that the values stay."""
    locked = []

    def lock(tensor):
        locked.append(tensor.clone())
        return locked[-1]

    monkeypatch.setattr(torch.Tensor, "pin_memory", lock)
    given = batch(9, 2, micro_batch=1)
    (*_, last) = [one.pinned() for one in given.passes()]
    held = {id(tensor) for tensor in locked}
    assert {id(tensor) for tensor in (last.weights, *tensors(last.batch))} <= held
    (*_, plain) = given.passes()
    assert isinstance(last.batch, PackedBatch)
    assert last.batch.readouts == plain.batch.readouts
    assert all(map(torch.equal, tensors(last.batch), tensors(plain.batch)))
    latent = LatentBatch(*(torch.full((2, 2), value) for value in range(5)))
    pinned = latent.pinned()
    assert {id(tensor) for tensor in tensors(pinned)} <= {id(tensor) for tensor in locked}
    assert all(map(torch.equal, tensors(latent), tensors(pinned)))


def test_the_step_decides_the_weights():
    stage = replace(STAGE, objective=Objective.STEPS)
    given = replace(batch(4, micro_batch=1), stage=stage)
    assert next(given.passes()).weights.shape == (1,)
    assert next(replace(given, step=0).passes()).weights.tolist() == [1.0]
