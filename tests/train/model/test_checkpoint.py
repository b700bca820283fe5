"""What is written as a checkpoint: finite weights, or none."""

import json
import math
import shutil

import pytest
import torch
from rim_export.checkpoint.prompt import RimSettings
from rim_export.errors import CheckpointError

from rim_edge.errors import DivergedError
from rim_edge.model.checkpoint import read_checkpoint, write_checkpoint
from rim_edge.puzzles.tokenizer import build_tokenizer
from tests.places import DEMO_PACKAGE


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


def test_code_in_a_checkpoint_is_not_run_and_nobody_is_asked(tmp_path, monkeypatch):
    folder = shutil.copytree(DEMO_PACKAGE / "checkpoint", tmp_path / "checkpoint")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    auto_map = {"AutoConfig": "evil.Evil", "AutoModelForCausalLM": "evil.Evil"}
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "evil", "auto_map": auto_map}))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'canary')!r}, 'w')\nclass Evil: ...\n")
    asked = []
    monkeypatch.setattr("builtins.input", lambda *words: asked.append(words) or "y")
    with pytest.raises(CheckpointError, match="cannot be loaded by transformers"):
        read_checkpoint(folder)
    assert not asked
    assert not (tmp_path / "canary").exists()


def test_pickled_weights_are_not_opened(tmp_path):
    folder = shutil.copytree(DEMO_PACKAGE / "checkpoint", tmp_path / "checkpoint")
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="safetensors"):
        read_checkpoint(folder)
