"""The reference runs prompts in padded batches, which nobody may notice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rim_export.checkpoint.folder import Checkpoint
from rim_export.measure.reference import run_reference
from rim_export.measure.streamed import TOKENS_AT_ONCE
from rim_export.weights.model_weights import ModelWeights
from rim_runtime.bundle.manifest import Head
from rim_runtime.engines.shapes import similar_lengths

from tests.export.conftest import TinyCheckpoint


def prompts(count: int, longest: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, longest + 1, (count,), generator=generator).tolist()
    return [torch.randint(0, 1000, (length,), generator=generator).tolist() for length in lengths]


def test_logits_do_not_depend_on_how_prompts_are_batched(tied_checkpoint: TinyCheckpoint) -> None:
    weights = ModelWeights(Checkpoint.open(tied_checkpoint.path), {"A": 32, "B": 33, "C": 34}, Head.LETTERS)
    asked = prompts(24, 200)
    assert len(similar_lengths([len(prompt) for prompt in asked], TOKENS_AT_ONCE)) > 2
    together = run_reference(weights, asked).logits
    alone = np.concatenate([run_reference(weights, [prompt]).logits for prompt in asked])
    np.testing.assert_allclose(together, alone, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        theirs = [tied_checkpoint.model(torch.tensor([prompt])).logits[0, -1, 32:35] for prompt in asked[:6]]
    np.testing.assert_allclose(together[:6], torch.stack(theirs).numpy(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("longest", [100, 300, 2 * TOKENS_AT_ONCE])
def test_batches_hold_every_prompt_once_and_little_padding(longest: int) -> None:
    lengths = [len(prompt) for prompt in prompts(96, longest)]
    batches = similar_lengths(lengths, TOKENS_AT_ONCE)
    assert sorted(number for members in batches for number in members) == list(range(96))
    padded = [len(members) * max(lengths[number] for number in members) for members in batches]
    assert all(size <= TOKENS_AT_ONCE or len(members) == 1 for size, members in zip(padded, batches, strict=True))
    assert sum(padded) <= 1.25 * sum(lengths)
