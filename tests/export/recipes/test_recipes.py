"""Each recipe's graph computes what its emulation says, product by product."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest
import torch
from rim_export.graph.convert import UnboundGraph
from rim_export.recipes.blocks import BlockFormat, ZeroPoints
from rim_export.recipes.floats import FP32
from rim_export.recipes.fp8 import fp8_recipe, round_fp8
from rim_export.recipes.int4 import QuantizedMatrices, int4_recipes
from rim_export.recipes.int8 import INT8
from rim_export.recipes.recipe import Recipe, bind
from rim_export.weights.files import write_graph
from rim_runtime.bundle.manifest import Dialect, Head
from rim_runtime.engines.ort_cpu import SESSION_ENTRIES
from rim_runtime.libraries.onnxruntime import import_onnxruntime

ROWS, INPUTS, OUTPUTS, VOCABULARY = 5, 96, 24, 40
WEIGHT, TABLE = "backbone.layers.0.mlp.up_proj.weight", "backbone.embed_tokens.weight"


def int4(size: int, zero_points: ZeroPoints = ZeroPoints.OWN) -> tuple[Recipe, ...]:
    return int4_recipes(QuantizedMatrices(BlockFormat(size, zero_points), {}))


ORT4, PORTABLE4 = int4(32)


@dataclass(frozen=True)
class OneProduct:
    """Stands in for ModelWeights: an embedding, which is the activation, and one weight."""

    table: torch.Tensor
    weight: torch.Tensor
    head: Head = Head.LETTERS

    def read(self, name: str) -> torch.Tensor:
        return {WEIGHT: self.weight, TABLE: self.table}[name]

    def dtype(self, name: str) -> torch.dtype:
        return self.read(name).dtype


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


NONE: frozenset[str] = frozenset()


def run(
    recipe: Recipe, weights: Any, folder: Path, wide: frozenset[str] = NONE, finer: frozenset[str] = NONE
) -> np.ndarray:
    """Bind the graph by the recipe and run it on rows 0 to 4, in the session that the engine would open."""
    graph = unbound()
    bind(recipe, graph, weights, wide, finer)
    path = folder / f"{recipe.name}.onnx"
    ir.save(graph.model, path)
    options = import_onnxruntime().SessionOptions()
    options.log_severity_level = 3
    for key, value in SESSION_ENTRIES.get(recipe.precision, {}).items():
        options.add_session_config_entry(key, value)
    session = import_onnxruntime().InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"ids": np.arange(ROWS)})
    return np.asarray(found)


RECIPES = {
    "int8": INT8,
    "fp8 by tensor": fp8_recipe({WEIGHT: 40.0}),
    "fp8 by tensor, clipped": fp8_recipe({WEIGHT: 2.0}),
    "fp8 by row": fp8_recipe({}),
    "int4 for ONNX Runtime": ORT4,
    "int4 portable": PORTABLE4,
    "int4 in one long block": int4(128)[0],
    "int4 portable in one long block": int4(128)[1],
    "int4 for ONNX Runtime, symmetric": int4(32, ZeroPoints.MIDDLE)[0],
    "int4 portable, symmetric": int4(32, ZeroPoints.MIDDLE)[1],
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
    tolerance = {"fp8": 1e-5, "int8": 0.02, "int4": 0.02}[recipe.precision]  # of their tables
    np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max(), rtol=0)


@pytest.mark.parametrize("name", RECIPES)
def test_a_finer_product_is_what_its_emulation_says(name: str, weights: OneProduct, tmp_path: Path) -> None:
    """fp8 at a constant scale: by row; int4: int8; others have no form in between."""
    recipe = RECIPES[name]
    assert (recipe.finer is not None) == (name.startswith("int4") or name.startswith("fp8 by tensor"))
    if recipe.finer is None:
        return
    found = run(recipe, weights, tmp_path, finer=frozenset({WEIGHT}))
    rows = weights.table[:ROWS].float()
    activations = rows if recipe.table.emulate is None else recipe.table.emulate(rows)
    expected = recipe.finer.emulate(WEIGHT, activations, weights.weight.float()).numpy()
    np.testing.assert_allclose(found, expected, atol=2e-4 * np.abs(expected).max(), rtol=1e-5)
    exact = (activations @ weights.weight.float().T).numpy()
    own = run(recipe, weights, tmp_path)
    assert np.abs(found - exact).mean() < np.abs(own - exact).mean()


@pytest.mark.parametrize("recipe", [INT8, PORTABLE4, ORT4], ids=lambda recipe: recipe.name)
def test_a_wide_table_is_the_checkpoints(recipe: Recipe, weights: OneProduct, tmp_path: Path) -> None:
    expected = run(FP32, weights, tmp_path)
    found = run(recipe, weights, tmp_path, frozenset({WEIGHT, TABLE}))
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max(), rtol=0)
    rounded = run(recipe, weights, tmp_path, frozenset({WEIGHT}))
    assert np.abs(rounded - expected).max() > 1e-3 * np.abs(expected).max(), "its rounding must be seen"


@dataclass(frozen=True)
class CountedProduct(OneProduct):
    """Counts how often each of its tensors is read."""

    counts: Counter[str] = field(default_factory=Counter)

    def read(self, name: str) -> torch.Tensor:
        self.counts[name] += 1
        return super().read(name)

    def dtype(self, name: str) -> torch.dtype:
        return super().read(name).dtype


@pytest.mark.parametrize("recipe", [INT8, fp8_recipe({}), fp8_recipe({WEIGHT: 40.0})], ids=lambda one: one.name)
def test_a_matrix_is_read_once(recipe: Recipe, weights: OneProduct, tmp_path: Path) -> None:
    """In a rotated model, reading folds the turns in; the scales do not read it again."""
    graph, counted = unbound(), CountedProduct(weights.table, weights.weight)
    bind(recipe, graph, counted, NONE)  # type: ignore[arg-type]
    write_graph(graph, tmp_path / "graph.onnx", tmp_path / "graph.onnx.data")
    assert counted.counts == {WEIGHT: 1, TABLE: 1}


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
