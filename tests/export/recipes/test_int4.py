"""int4 of the demo's layers: both forms hold the same numbers, by every engine that runs them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from rim_export.certification.torch_engine import run_graph
from rim_export.graph.projection import rows_first
from rim_export.measure.compensation import compensated_blocks
from rim_export.measure.moments import Moments
from rim_export.measure.streamed import StreamedModel
from rim_export.question_sets import CalibrationSet
from rim_export.recipes import int4
from rim_export.recipes.blocks import (
    BlockFormat,
    Blocks,
    Steps,
    ZeroPoints,
    cut,
    pack,
    round_matrix,
    round_to,
    search_steps,
)
from rim_export.recipes.floats import FP32
from rim_export.recipes.int4 import CONTRIB, QuantizedMatrices, int4_recipes
from rim_export.tensorrt.lint import lint
from rim_runtime.bundle.manifest import Precision
from rim_runtime.engines.ort_cpu import SESSION_ENTRIES
from rim_runtime.libraries.onnxruntime import import_onnxruntime
from rim_runtime.libraries.openvino import import_openvino

from tests.export.gpu_graphs import Source, two_layers
from tests.places import need

FORM = BlockFormat(32, ZeroPoints.OWN)
FEED = {
    "question_ids": np.random.default_rng(0).integers(10, 400, (3, 17)),
    "question_length": np.array([17, 4, 11]),
    "blocks": np.array([4, 0, 2]),
}


@pytest.fixture(scope="module")
def source() -> Source:
    return two_layers()


@pytest.fixture(scope="module")
def prompts() -> CalibrationSet:
    generator = np.random.default_rng(1)
    rows = tuple(
        tuple(map(int, generator.integers(10, 400, length))) for length in (40, 25, 60, 33, 51, 12, 70, 64)
    )
    return CalibrationSet("random ids", ("",) * len(rows), rows, ())


@pytest.fixture(scope="module")
def found(source: Source, prompts: CalibrationSet) -> Mapping[str, Blocks]:
    """The matrices of all of the demo's layers; the graphs have the first two."""
    return compensated_blocks(source.weights, prompts, FORM, lambda share: None)


@pytest.fixture(scope="module")
def graphs(
    source: Source, found: Mapping[str, Blocks], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("graphs")
    ort, portable = int4_recipes(QuantizedMatrices(FORM, found))
    return {
        name: source.write(recipe, folder)
        for name, recipe in (("ort", ort), ("portable", portable), ("fp32", FP32))
    }


def in_onnx_runtime(graph: Path, precision: Precision = Precision.INT4) -> np.ndarray:
    options = import_onnxruntime().SessionOptions()
    options.log_severity_level = 3
    for entry in SESSION_ENTRIES.get(precision, {}).items():
        options.add_session_config_entry(*entry)
    session = import_onnxruntime().InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, FEED)
    return np.asarray(logits)


def in_torch(graph: Path) -> np.ndarray:
    with torch.no_grad():
        (logits,) = run_graph(ir.load(graph).graph, dict(FEED))
    return logits


def exact_activations(graph: Path, folder: Path) -> Path:
    """A copy of the `ort` form whose products round no activations."""
    model = onnx.load(graph)
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "accuracy_level":
                attribute.i = 1
    onnx.save(model, folder / "exact.onnx")
    return folder / "exact.onnx"


def test_both_forms_hold_the_same_numbers(graphs: Mapping[str, Path], tmp_path: Path) -> None:
    portable = in_onnx_runtime(graphs["portable"])
    ort = in_onnx_runtime(exact_activations(graphs["ort"], tmp_path))
    np.testing.assert_allclose(ort, portable, atol=2e-4 * portable.std(), rtol=0)
    rounded = np.abs(in_onnx_runtime(graphs["ort"]) - portable).max() / portable.std()
    assert 1e-3 < rounded < 0.2, "the `ort` form rounds activations"
    coarse = np.abs(portable - in_onnx_runtime(graphs["fp32"], Precision.FP32)).max() / portable.std()
    assert coarse > 5e-3, "a form whose weights are not rounded would pass"


def test_torch_runs_the_portable_form(graphs: Mapping[str, Path]) -> None:
    """Zero points included: what ONNX Runtime has no kernels for is certified there."""
    portable = in_onnx_runtime(graphs["portable"])
    np.testing.assert_allclose(in_torch(graphs["portable"]), portable, atol=2e-4 * portable.std(), rtol=0)


def test_openvino_runs_the_portable_form(graphs: Mapping[str, Path]) -> None:
    need("openvino")
    settings = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
    core = import_openvino().Core()
    compiled = core.compile_model(core.read_model(graphs["portable"]), "CPU", settings)
    (logits,) = compiled(FEED).values()
    portable = in_onnx_runtime(graphs["portable"])
    np.testing.assert_allclose(logits, portable, atol=2e-4 * portable.std(), rtol=0)


def test_types_of_both_forms(graphs: Mapping[str, Path]) -> None:
    name = "backbone.layers.1.mlp.down_proj.weight"
    kinds = onnx.TensorProto
    portable = {one.name: one for one in onnx.load(graphs["portable"], load_external_data=False).graph.initializer}
    ort = {one.name: one for one in onnx.load(graphs["ort"], load_external_data=False).graph.initializer}
    assert portable[name].data_type == portable[f"{name}_zero"].data_type == kinds.UINT4
    assert portable[f"{name}_scale"].data_type == kinds.FLOAT
    assert list(portable[f"{name}_zero"].dims) == list(portable[f"{name}_scale"].dims)
    assert ort[name].data_type == ort[f"{name}_zero"].data_type == kinds.UINT8
    assert ort[f"{name}_scale"].data_type == kinds.FLOAT16
    for stored in (portable, ort):
        assert stored["backbone.embed_tokens.weight"].data_type == kinds.INT8
    assert {node.domain for node in onnx.load(graphs["ort"], load_external_data=False).graph.node} == {"", CONTRIB}


def test_tensorrt_gets_symmetric_blocks(source: Source) -> None:
    """The linter refuses the form for CPUs by its type and by its zero points, and takes the one for GPUs."""
    for_gpus = source.model("int4")
    assert not lint(for_gpus)
    (_, for_cpus) = int4_recipes(QuantizedMatrices(FORM, {}))
    wrong = source.bound(for_cpus).model
    assert {finding.rule for finding in lint(wrong)} >= {"narrow-type", "zero-point"}


def test_a_matrix_is_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes, scales and zero points are written one after the other, and the search is most of the time."""
    torch.manual_seed(0)
    matrix, searched = torch.randn(8, 64), []

    def search(values: torch.Tensor, form: BlockFormat) -> Steps:
        searched.append(values.shape)
        return search_steps(values, form)

    monkeypatch.setattr(int4, "search_steps", search)
    matrices = QuantizedMatrices(FORM, {})
    found = [matrices.blocks("a", lambda: matrix) for _ in range(3)]
    assert len(searched) == 1
    for one in found:
        assert torch.equal(one.widened(64), round_matrix(matrix, FORM).widened(64))


def test_compensation_lowers_the_errors_of_products(
    source: Source, prompts: CalibrationSet, found: Mapping[str, Blocks]
) -> None:
    """On what calibration saw: the first layer's products, whose inputs no quantized layer has changed yet."""
    model = StreamedModel(source.weights)
    layer = next(iter(model.layers()))
    moments = Moments()
    layer.advance(model.embed(prompts.prompts), moments.add)
    for name, linear in layer.linears.items():
        matrix, seen = rows_first(linear), torch.block_diag(*moments.sums(name))
        nearest = pack(round_to(cut(matrix, FORM.size), found[name].steps), found[name].steps)
        errors = [one.widened(matrix.shape[1]) - matrix for one in (found[name], nearest)]
        ours, theirs = (float(((error @ seen) * error).sum()) for error in errors)
        assert ours < 0.8 * theirs, name
