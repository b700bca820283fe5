"""What is written as a checkpoint: finite weights, or none."""

import json
import math
import shutil
from dataclasses import replace

import pytest
import torch
from rim_export.checkpoint.prompt import RimSettings, derive_contract
from rim_export.errors import CheckpointError
from safetensors.torch import load_file, save_file

from rim_edge.errors import DivergedError
from rim_edge.methods.rim.encode import ExampleEncoder
from rim_edge.model.checkpoint import read_checkpoint, saved_dtype, write_checkpoint
from rim_edge.model.trainable import load_trainable
from rim_edge.puzzles.tokenizer import build_tokenizer
from rim_edge.recipe.presets import DEMO
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
    with pytest.raises(CheckpointError, match="model_type is 'evil', supported: gpt2"):
        read_checkpoint(folder)
    assert not asked
    assert not (tmp_path / "canary").exists()


def test_pickled_weights_are_not_opened(tmp_path):
    folder = shutil.copytree(DEMO_PACKAGE / "checkpoint", tmp_path / "checkpoint")
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="holds pickled weights, which are never opened"):
        read_checkpoint(folder)


def tokens_cut_off(folder):
    """The embedding loses the rows of the last tokens."""
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if "embed_tokens" in name)
    rows = len(tensors[name]) - 20
    save_file({**tensors, name: tensors[name][:rows].clone()}, folder / "model.safetensors", {"format": "pt"})
    in_json(folder / "config.json", vocab_size=rows, pad_token_id=None, eos_token_id=None)


def without(folder, part):
    tensors = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if part not in name}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})


def with_tensor(folder, name, tensor):
    save_file(
        {**load_file(folder / "model.safetensors"), name: tensor}, folder / "model.safetensors", {"format": "pt"}
    )


def in_json(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


NAME = "model.layers.0.self_attn.q_proj.weight"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: (folder / "tokenizer.json").unlink(), "has no tokenizer.json, expected the model's fast"),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), "The tokenizer in .* cannot be read"),
        (
            lambda folder: without(folder, "layers.0.self_attn.q_proj"),
            f"lacks the tensor {NAME}, expected",
        ),
        (lambda folder: without(folder, "layers.0"), "lacks the tensor .* and 10 more"),
        (
            lambda folder: with_tensor(folder, f"{NAME}_scale", torch.ones(1)),
            f"has, and its model does not know, the tensor {NAME}_scale",
        ),
        (
            lambda folder: in_json(folder / "config.json", tie_word_embeddings=False),
            r"lacks the tensor lm_head\.weight",
        ),
        (lambda folder: in_json(folder / "config.json", intermediate_size=24), "cannot be loaded by transformers"),
        (lambda folder: in_json(folder / "config.json", dtype="auto"), "config.json cannot be used"),
        (lambda folder: in_json(folder / "tokenizer_config.json", eos_token=None), "names no eos_token"),
        (tokens_cut_off, "The tokenizer has tokens up to the id .*, and the embedding .* rows"),
        (
            lambda folder: with_tensor(
                folder, NAME, torch.full_like(load_file(folder / "model.safetensors")[NAME], torch.nan)
            ),
            "has weights in .* that are not finite",
        ),
    ],
)
def test_a_checkpoint_that_does_not_hold_together_is_refused(tmp_path, change, words):
    folder = shutil.copytree(DEMO_PACKAGE / "checkpoint", tmp_path / "checkpoint")
    change(folder)
    with pytest.raises(CheckpointError, match=words):
        trainable = load_trainable(replace(DEMO, scratch=None), folder, seed=0)
        ExampleEncoder(trainable.tokenizer, derive_contract(trainable.tokenizer, trainable.rim))


@pytest.mark.parametrize("dtype", ["int8", "float8_e4m3fn", "nothing", None, 16])
def test_weights_are_never_saved_in_fewer_than_16_bits(dtype):
    assert saved_dtype({"dtype": dtype}) is torch.float32
    assert saved_dtype({"torch_dtype": "float16"}) is torch.float16
