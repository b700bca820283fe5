"""Config, tensors and tokenizer that contradict each other are refused by name, before anything is converted."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import rim_export
import torch
from rim_export.checkpoint.folder import Checkpoint
from rim_export.checkpoint.letter_seam import letter_seam_note
from rim_export.checkpoint.prompt import letter_ids
from rim_export.errors import CheckpointError
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

Tensors = dict[str, torch.Tensor]


@pytest.fixture(autouse=True)
def nothing_is_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault is found in a second, not after minutes."""
    monkeypatch.setattr("rim_export.pipeline.convert", lambda *_: pytest.fail("it should not begin"))


def refused(folder: Path, tmp_path: Path) -> str:
    target = tmp_path / "out" / "bundle"
    with pytest.raises(CheckpointError) as caught:
        rim_export.export(folder, target, rim_export.ExportOptions())
    assert not target.parent.exists() or not list(target.parent.iterdir())
    return str(caught.value)


def change_weights(folder: Path, change: Callable[[Tensors], None]) -> None:
    file = folder / "model.safetensors"
    weights = load_file(file)
    change(weights)
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, file, metadata={"format": "pt"})


def scaled(weights: Tensors) -> None:
    """As some quantizers store matrices: narrow values, and beside them a scale that no config names."""
    name = "model.layers.1.mlp.up_proj.weight"
    scale = weights[name].abs().max() / 448
    weights[name] = (weights[name] / scale).to(torch.float8_e4m3fn)
    weights[f"{name}_scale"] = scale.float()


def narrow(weights: Tensors) -> None:
    weights["model.layers.0.self_attn.q_proj.weight"] = weights["model.layers.0.self_attn.q_proj.weight"].to(
        torch.float8_e4m3fn
    )


def a_layer_too_many(weights: Tensors) -> None:
    for name in [name for name in weights if ".layers.2." in name]:
        weights[name.replace(".layers.2.", ".layers.3.")] = weights[name].clone()


def a_bias(weights: Tensors) -> None:
    weights["model.layers.0.self_attn.q_proj.bias"] = torch.ones(64)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (scaled, "model.layers.1.mlp.up_proj.weight_scale. They look like scales of quantized weights."),
        (narrow, "stores model.layers.0.self_attn.q_proj.weight as F8_E4M3, expected F64, F32, F16, BF16"),
        (a_layer_too_many, "model.layers.3.input_layernorm.weight, .* and 8 more. config.json counts 3 layers."),
        (a_bias, "that the model in config.json does not: model.layers.0.self_attn.q_proj.bias. Left out"),
    ],
)
def test_every_tensor_is_used_or_refused(
    damaged: Path, tmp_path: Path, change: Callable[[Tensors], None], said: str
) -> None:
    change_weights(damaged, change)
    assert re.search(said, refused(damaged, tmp_path))


def test_constants_of_earlier_releases_are_no_weights(damaged: Path, tmp_path: Path) -> None:
    def old(weights: Tensors) -> None:
        weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(8)
        a_bias(weights)

    change_weights(damaged, old)
    assert "inv_freq" not in refused(damaged, tmp_path)


def test_a_tied_head_that_was_trained_is_refused(damaged: Path, tmp_path: Path) -> None:
    """transformers takes it, config.json says otherwise: whoever believes the config answers differently."""
    table = "model.embed_tokens.weight"
    change_weights(damaged, lambda weights: weights.update({"lm_head.weight": 2 * weights[table]}))
    said = refused(damaged, tmp_path)
    assert "tie_word_embeddings), but lm_head.weight differs from it" in said
    assert '"tie_word_embeddings": false' in said


def test_a_tied_head_that_is_the_table_is_no_contradiction(damaged: Path, tmp_path: Path) -> None:
    table = "model.embed_tokens.weight"

    def twice(weights: Tensors) -> None:
        weights["lm_head.weight"] = weights[table].clone()
        a_bias(weights)

    change_weights(damaged, twice)
    assert "lm_head" not in refused(damaged, tmp_path)


def test_words_added_to_the_vocabulary_are_refused(damaged: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(damaged)
    tokenizer.add_tokens(["HbA1c", "<note>"], special_tokens=False)
    tokenizer.save_pretrained(damaged)
    said = refused(damaged, tmp_path)
    assert (
        "Words were added to the tokenizer's vocabulary: 'HbA1c'. A bundle's tokenizer has no added tokens" in said
    )


def test_letters_that_merge_with_the_prefix_are_noted(shared_data: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(shared_data / "qwen3-tokenizer")
    letters = letter_ids(tokenizer)
    note = letter_seam_note(tokenizer, "Answer: ", letters)
    assert note
    assert "Behind the prefix 'Answer: ' the letters A, B, C, D, E, F, G, H, I, J are other tokens" in note
    assert letter_seam_note(tokenizer, "The final answer is \\boxed{", letters) is None


@pytest.mark.parametrize("absolute", [False, True])
def test_a_folder_of_the_hubs_cache_is_named_as_the_hub_names_it(
    damaged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, absolute: bool
) -> None:
    """Its path would say who the user is, in a bundle that is given away."""
    snapshot = tmp_path / "hub" / "models--some--tiny-rim" / "snapshots" / "0123abc"
    snapshot.parent.mkdir(parents=True)
    damaged.rename(snapshot)
    monkeypatch.chdir(snapshot.parent)
    found = Checkpoint.open(snapshot if absolute else Path("0123abc"))
    assert (found.name, found.revision) == ("some/tiny-rim", "0123abc")


def test_a_folder_that_is_called_snapshots_is_no_hub_cache(damaged: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run" / "snapshots" / "step-100"
    folder.parent.mkdir(parents=True)
    damaged.rename(folder)
    found = Checkpoint.open(folder)
    assert (found.name, found.revision) == ("step-100", None)
