"""What is written as a checkpoint: finite weights, or none."""

import math

import pytest
import torch
from rim_export.checkpoint.prompt import RimSettings

from rim_edge.errors import DivergedError
from rim_edge.model.checkpoint import write_checkpoint
from rim_edge.puzzles.tokenizer import build_tokenizer


@pytest.mark.parametrize(("value", "dtype"), [(math.nan, torch.float32), (70_000.0, torch.float16)])
def test_weights_that_are_not_finite_as_they_are_saved_are_not_written(tmp_path, tiny_model, value, dtype):
    """70,000 is a number in the fp32 that trains, and infinite in the source's fp16."""
    model = tiny_model(vocabulary=1051)
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[0, :3] = value
    with pytest.raises(
        DivergedError, match=r"3 of 1,536 weights of model\.layers\.1\.mlp\.up_proj\.weight are not"
    ):
        write_checkpoint(tmp_path, model, build_tokenizer(), RimSettings(), dtype)
    assert list(tmp_path.iterdir()) == []
