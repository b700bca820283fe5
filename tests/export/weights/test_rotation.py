"""Rotation changes no function, and outlier channels cost int8 less; models that cannot turn are left alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch
from rim_export.checkpoint.folder import Checkpoint
from rim_export.checkpoint.prompt import RimSettings, derive_contract, letter_ids
from rim_export.measure.reference import run_reference
from rim_export.recipes.floats import FP32
from rim_export.recipes.int8 import INT8
from rim_export.recipes.recipe import Recipe, bind
from rim_export.recipes.rotated import rotated
from rim_export.recipes.tables import half_table
from rim_export.weights.model_weights import ModelWeights
from rim_export.weights.rotatable import rotation_of
from rim_export.weights.rotation import Orthogonal
from rim_runtime.bundle.manifest import Head
from rim_runtime.libraries.onnxruntime import import_onnxruntime
from safetensors.torch import load_file, save_file

from tests.conversions import convert_once
from tests.export.families import FAMILIES

TURNED = ("llama3", "llama with biases", "mistral", "phi3", "qwen2", "qwen3")
NOT_TURNED = ("gpt2", "olmo2")
QUESTION = np.arange(40, 64)[None]


def logits(recipe: Recipe, weights: ModelWeights) -> np.ndarray:
    """Return the letters' logits of one question, by the recipe's graph in ONNX Runtime."""
    checkpoint = weights.checkpoint
    contract = derive_contract(checkpoint.load_tokenizer(), RimSettings())
    graph = convert_once(checkpoint.load_config(), contract, len(weights.letters), weights.head)
    graph = replace(graph, model=graph.model.clone())
    bind(recipe, graph, weights, frozenset())
    library = import_onnxruntime()
    content = ir.to_proto(graph.model).SerializeToString()
    session = library.InferenceSession(content, providers=["CPUExecutionProvider"])
    feed = {"question_ids": QUESTION, "question_length": np.array([QUESTION.shape[1]]), "blocks": np.array([8])}
    (found,) = session.run(None, feed)
    return np.asarray(found)


def open_weights(path: Path) -> ModelWeights:
    checkpoint = Checkpoint.open(path)
    return ModelWeights(checkpoint, letter_ids(checkpoint.load_tokenizer()), Head.LETTERS)


@pytest.mark.parametrize("size", [1, 2, 9, 48, 64, 96, 576, 2048])
def test_the_matrix_is_orthogonal_and_spreads_one_channel_over_all(size: int) -> None:
    matrix = Orthogonal.of(size, seed=2)
    identity = torch.eye(size, dtype=torch.float64)
    whole = matrix.turn(identity)
    torch.testing.assert_close(whole @ whole.T, identity, atol=1e-12, rtol=0)
    torch.testing.assert_close(matrix.turn_back(whole), identity, atol=1e-12, rtol=0)
    odd = size // (size & -size)
    assert whole.abs().max() <= (2 / odd if odd > 1 else 1) ** 0.5 * (odd / size) ** 0.5 + 1e-12


def test_a_matrix_by_hand() -> None:
    """Two parts of four channels; Sylvester's rows are + + + +, + - + -, + + - -, + - - +, all by a half."""
    matrix = replace(Orthogonal.of(4, seed=2), signs=torch.tensor([1.0, 1.0, -1.0, 1.0]).double())
    found = matrix.turn(torch.tensor([[2.0, 0, 0, 0, 0, 0, 4, 0]]))
    torch.testing.assert_close(found, torch.tensor([[1.0, 1, 1, 1, -2, -2, 2, 2]]))


@pytest.mark.parametrize("name", TURNED)
def test_a_rotated_model_computes_the_same(name: str, tmp_path: Path) -> None:
    weights = open_weights(FAMILIES[name].build(tmp_path / "tiny").path)
    rotation = rotation_of(weights)
    assert rotation is not None
    expected = logits(FP32, weights)
    exact = half_table(ir.DataType.FLOAT)  # a rotated table in bf16 is rounded
    found = logits(replace(FP32, rotation=rotation, table=exact), weights)
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    table = "backbone.embed_tokens.weight"
    assert not torch.equal(rotation.fold(table, weights.read(table)), weights.read(table).float())


@pytest.mark.parametrize("name", NOT_TURNED)
def test_other_models_are_left_alone(name: str, tmp_path: Path) -> None:
    weights = open_weights(FAMILIES[name].build(tmp_path / "tiny").path)
    assert rotation_of(weights) is None
    assert rotated(INT8, None) is INT8


def test_outlier_channels_cost_int8_a_fraction_of_what_they_did(tmp_path: Path) -> None:
    """The same function, with channels of the norms and of the MLP's product that are 64 times larger."""
    path = FAMILIES["qwen2"].build(tmp_path / "tiny").path
    plant_outliers(path / "model.safetensors")
    weights = open_weights(path)
    rotation = rotation_of(weights)
    exact, plain, turned = (logits(recipe, weights) for recipe in (FP32, INT8, rotated(INT8, rotation)))
    assert np.abs(turned - exact).mean() < np.abs(plain - exact).mean() / 3
    recipe = rotated(INT8, rotation)
    assert INT8.emulate is not None and recipe.emulate is not None
    prompts = [list(range(30 + 5 * row, 70 + 5 * row)) for row in range(4)]
    errors = run_reference(weights, prompts, [INT8.emulate, recipe.emulate]).layer_errors
    assert np.mean(errors[recipe.emulate]) < np.mean(errors[INT8.emulate]) / 2


def plant_outliers(file: Path) -> None:
    tensors = load_file(file)
    for name, tensor in tensors.items():
        if name.endswith("layernorm.weight"):
            tensor[::8] *= 64
        if name.rpartition("proj")[0].endswith(("q_", "k_", "v_", "gate_", "up_")) and name.endswith("weight"):
            tensor[:, ::8] /= 64
        if name.endswith("up_proj.weight"):
            tensor[5] *= 64
        if name.endswith("down_proj.weight"):
            tensor[:, 5] /= 64
    save_file(tensors, file, metadata={"format": "pt"})
