"""Each recipe's graph computes what its emulation says, product by product."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest
import torch
from rim_export.graph.convert import UnboundGraph
from rim_export.recipes.floats import FP32
from rim_export.recipes.fp8 import fp8_recipe, round_fp8
from rim_export.recipes.int4 import int4_recipes
from rim_export.recipes.int8 import INT8
from rim_export.recipes.matrices import block_scales, quantize_blocks
from rim_export.recipes.recipe import Recipe, bind
from rim_export.recipes.tables import bind_int8_table
from rim_runtime.bundle.manifest import Dialect, Head
from rim_runtime.engines.ort_cpu import SESSION_ENTRIES
from rim_runtime.libraries.onnxruntime import import_onnxruntime

ROWS, INPUTS, OUTPUTS, VOCABULARY = 5, 96, 24, 40
WEIGHT, TABLE = "backbone.layers.0.mlp.up_proj.weight", "backbone.embed_tokens.weight"
ORT4, PORTABLE4 = int4_recipes(32)


@dataclass(frozen=True)
class OneProduct:
    """Stands in for ModelWeights: an embedding, which is the activation, and one weight."""

    table: torch.Tensor
    weight: torch.Tensor
    head: Head = Head.LETTERS

    def read(self, name: str) -> torch.Tensor:
        return {WEIGHT: self.weight, TABLE: self.table}[name]


@pytest.fixture(scope="module")
def weights() -> OneProduct:
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(VOCABULARY, INPUTS, generator=generator)
    table[3, 5] = 40.0  # an outlier, and an empty row
    table[4] = 0
    return OneProduct(table.bfloat16(), torch.randn(OUTPUTS, INPUTS, generator=generator).bfloat16())


def unbound() -> UnboundGraph:
    """ids int64 [rows] → embedding → product fp32 [rows, out]."""
    ids = ir.Value(name="ids", shape=ir.Shape([ROWS]), type=ir.TensorType(ir.DataType.INT64))
    floats = ir.TensorType(ir.DataType.FLOAT)
    table = ir.Value(name=TABLE, shape=ir.Shape([VOCABULARY, INPUTS]), type=floats)
    weight = ir.Value(name=WEIGHT, shape=ir.Shape([INPUTS, OUTPUTS]), type=floats)
    gather = ir.node("Gather", [table, ids])
    product = ir.node("MatMul", [gather.outputs[0], weight])
    for node, name, width in ((gather, "rows", INPUTS), (product, "products", OUTPUTS)):
        node.outputs[0].name, node.outputs[0].type = name, floats
        node.outputs[0].shape = ir.Shape([ROWS, width])
    result = ir.node("Identity", product.outputs)
    result.outputs[0].name, result.outputs[0].type = "result", floats
    result.outputs[0].shape = ir.Shape([ROWS, OUTPUTS])
    graph = ir.Graph(
        [ids],
        result.outputs,
        nodes=[gather, product, result],
        initializers=[table, weight],
        opset_imports={"": 23},
        name="one",
    )
    return UnboundGraph(ir.Model(graph, ir_version=11), frozenset({WEIGHT}), TABLE, frozenset())


def run(recipe: Recipe, weights: Any, folder: Path, wide: frozenset[str] = frozenset()) -> np.ndarray:
    """Bind the graph by the recipe and run it on rows 0 to 4, in the session that the engine would open."""
    graph = unbound()
    bind(recipe, graph, weights, wide)
    path = folder / f"{recipe.name}.onnx"
    ir.save(graph.model, path)
    options = import_onnxruntime().SessionOptions()
    options.log_severity_level = 3
    for key, value in SESSION_ENTRIES.get(recipe.precision, {}).items():
        options.add_session_config_entry(key, value)
    session = import_onnxruntime().InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"ids": np.arange(ROWS)})
    return np.asarray(found)


def with_int8_table(recipe: Recipe) -> Recipe:
    """Rows of an int4 table lie half way between int8 levels now and then, where roundings differ."""
    return replace(recipe, table=bind_int8_table)


RECIPES = {
    "int8": INT8,
    "fp8 by tensor": fp8_recipe({WEIGHT: 40.0}),
    "fp8 by tensor, clipped": fp8_recipe({WEIGHT: 2.0}),
    "fp8 by row": fp8_recipe({}),
    "int4 for ONNX Runtime": with_int8_table(ORT4),
    "int4 portable": with_int8_table(PORTABLE4),
    "int4 in one long block": with_int8_table(int4_recipes(128)[0]),
    "int4 portable in one long block": with_int8_table(int4_recipes(128)[1]),
}


@pytest.mark.parametrize("name", RECIPES)
def test_the_graph_equals_its_emulation(name: str, weights: OneProduct, tmp_path: Path) -> None:
    recipe = RECIPES[name]
    found = run(recipe, weights, tmp_path)
    assert recipe.emulate
    activations = weights.table[:ROWS].float()
    if recipe.precision in ("int8", "int4"):  # their tables are int8 rows here
        scales = activations.abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / 127
        activations = (activations / scales).round() * scales
    expected = recipe.emulate(WEIGHT, activations, weights.weight.float()).numpy()
    exact = (weights.table[:ROWS].float() @ weights.weight.float().T).numpy()
    np.testing.assert_allclose(found, expected, atol=2e-4 * np.abs(exact).max(), rtol=1e-5)
    assert np.abs(found - exact).max() > 20 * np.abs(found - expected).max(), "the rounding must be seen"
    assert not found[4].any()


@pytest.mark.parametrize("recipe", [INT8, fp8_recipe({}), PORTABLE4, ORT4], ids=lambda recipe: recipe.name)
def test_wide_products_are_exact(recipe: Recipe, weights: OneProduct, tmp_path: Path) -> None:
    found = run(recipe, weights, tmp_path, frozenset({WEIGHT}))
    expected = run(FP32, weights, tmp_path)
    tolerance = {"fp8": 1e-5, "int8": 0.02, "int4": 0.15}[recipe.precision]  # of their tables
    np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max(), rtol=0)


@pytest.mark.parametrize("recipe", [PORTABLE4, ORT4], ids=lambda recipe: recipe.name)
def test_an_int4_table_gives_the_rows_it_holds(recipe: Recipe, weights: OneProduct, tmp_path: Path) -> None:
    found = run(recipe, weights, tmp_path, frozenset({WEIGHT}))
    table = weights.table[:ROWS].float()
    rows = quantize_blocks(table, block_scales(table, 32), 32).widened(INPUTS)
    expected = (rows @ weights.weight.float().T).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-5)
    assert 0.02 < (rows - table).norm() / table.norm() < 0.12


def test_fp8_rounding_is_that_of_ml_dtypes() -> None:
    values = torch.randn(4000, generator=torch.Generator().manual_seed(1)) * torch.logspace(-4, 3, 4000)
    scaled = np.clip(values.numpy() / np.float32(0.5), -448, 448)
    expected = scaled.astype(ml_dtypes.float8_e4m3fn).astype(np.float32) * np.float32(0.5)
    np.testing.assert_array_equal(round_fp8(values, 0.5).numpy(), expected)


def test_names_and_dialects() -> None:
    assert [recipe.name for recipe in (FP32, INT8, fp8_recipe({}), ORT4, PORTABLE4)] == [
        "fp32",
        "int8",
        "fp8",
        "int4-ort",
        "int4",
    ]
    assert (ORT4.dialect, PORTABLE4.dialect) == (Dialect.ORT, Dialect.PORTABLE)


def squared_error(matrix: torch.Tensor, scales: torch.Tensor, block_size: int) -> float:
    found = quantize_blocks(matrix, scales, block_size).widened(matrix.shape[1])
    return float(((found - matrix) ** 2).sum())


@pytest.mark.parametrize("block_size", [32, 128])
def test_searched_block_scales_err_less_than_the_largest_value(block_size: int) -> None:
    matrix = torch.randn(64, 384, generator=torch.Generator().manual_seed(2))
    plain = matrix.unflatten(1, (-1, block_size)).abs().amax(dim=2) / 7
    searched = block_scales(matrix, block_size)
    assert (searched > 0).all()
    better = squared_error(matrix, searched, block_size) / squared_error(matrix, plain, block_size)
    assert better < 0.95


def test_scales_are_fp16_and_rows_of_any_size_survive() -> None:
    matrix = torch.randn(4, 64, generator=torch.Generator().manual_seed(4))
    matrix *= torch.tensor([[1e-9], [1e-3], [1.0], [1e5]])
    scales = block_scales(matrix, 32)
    assert scales.dtype is torch.float16
    found = quantize_blocks(matrix, scales, 32).widened(64)
    error = (found - matrix).norm(dim=1) / matrix.norm(dim=1)
    assert (error[1:] < 0.15).all()
    assert not found[0].any()  # below what fp16 can tell from zero


def test_a_last_block_may_be_short() -> None:
    matrix = torch.randn(3, 48, generator=torch.Generator().manual_seed(3))
    scales = block_scales(matrix, 32)
    assert scales.shape == (3, 2)
    blocks = quantize_blocks(matrix, scales, 32)
    assert blocks.values.shape == (3, 2, 32)
    assert blocks.values.amin() >= -8
    assert blocks.values.amax() <= 7
    assert not blocks.values[:, 1, 16:].any()
