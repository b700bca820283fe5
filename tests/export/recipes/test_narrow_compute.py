"""16-bit graphs: their types, their answers, fp16's headroom, and torch as the examiner of what has no kernels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest
import rim_export
import torch
from rim_export.certification.torch_engine import run_graph
from rim_export.errors import HeadroomError
from rim_export.measure.headroom import LEAST, headroom
from rim_export.recipes.floats import FP32
from rim_export.recipes.fp8 import fp8_recipe
from rim_export.recipes.int8 import INT8
from rim_export.recipes.nvfp4 import quantize_matrix
from rim_export.recipes.precisions import RECIPES, Measured
from rim_export.recipes.recipe import Recipe
from rim_runtime.bundle.manifest import Compute, Dialect, Precision
from rim_runtime.engines.names import EngineName
from rim_runtime.engines.ort_cpu import SESSION_ENTRIES
from rim_runtime.errors import InputError
from rim_runtime.libraries.onnxruntime import import_onnxruntime

from tests.export.gpu_graphs import RANGE, Source, two_layers

FEED = {
    "question_ids": np.random.default_rng(0).integers(10, 400, (3, 17)),
    "question_length": np.array([17, 4, 11]),
    "blocks": np.array([4, 0, 2]),
}
Feed = dict[str, np.ndarray]
MOST = {"fp16": 0.005, "bf16": 0.02, "int8": 0.06, "fp8": 0.25, "int4": 0.5, "nvfp4": 0.5}
"""Largest error of a logit, against their spread."""


@pytest.fixture(scope="module")
def source() -> Source:
    return two_layers()


@pytest.fixture(scope="module")
def exact(source: Source, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    return in_onnx_runtime(source.write(FP32, tmp_path_factory.mktemp("exact")), Precision.FP32)


def many(seed: int = 0) -> Feed:
    """Return 64 questions of random ids, so that a mean over them says something."""
    draw = np.random.default_rng(seed).integers
    return {"question_ids": draw(10, 400, (64, 17)), "question_length": draw(1, 18, 64), "blocks": draw(0, 5, 64)}


def in_onnx_runtime(graph: Path, precision: Precision, feed: Feed = FEED) -> np.ndarray:
    library = import_onnxruntime()
    options = library.SessionOptions()
    options.log_severity_level = 3
    for key, value in SESSION_ENTRIES.get(precision, {}).items():
        options.add_session_config_entry(key, value)
    session = library.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, feed)
    assert logits.dtype == np.float32
    return np.asarray(logits)


def in_torch(graph: Path, feed: Feed = FEED) -> np.ndarray:
    with torch.no_grad():
        (logits,) = run_graph(ir.load(graph).graph, dict(feed))
    return logits


def apart(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the mean difference of two engines' logits, against their spread."""
    return float(np.abs(ours - theirs).mean() / theirs.std())


def wide_computing(source: Source) -> dict[str, Recipe]:
    """Return recipes that compute in fp32."""
    return {
        "fp32": FP32,
        "int8": INT8,
        "fp8 by tensor": fp8_recipe(dict.fromkeys(source.unbound.matrices, RANGE)),
        "fp8 by row": fp8_recipe({}),
        "int4": RECIPES[Precision.INT4](Measured(block_size=32))[1],
    }


@pytest.mark.parametrize(
    ("name", "most"),
    [("fp32", 1e-6), ("int8", 5e-3), ("fp8 by tensor", 1e-4), ("fp8 by row", 1e-4), ("int4", 1.2e-6)],
)
def test_torch_runs_graphs_in_fp32_as_onnx_runtime_does(
    name: str, most: float, source: Source, tmp_path: Path
) -> None:
    """fp32, int8 and int4 get about twice what was measured: 4e-7, 2.9e-3 and 5e-7.

    fp8's levels are far apart, so most draws differ by 4e-7; the odd value that fp32's own error pushes to the
    next level costs 1.5e-5, and half a dozen of them may do so on another machine. The rounding itself is 0.04.
    """
    recipe = wide_computing(source)[name]
    graph, wide = source.write(recipe, tmp_path), source.write(FP32, tmp_path)
    ours, theirs = in_torch(graph, many()), in_onnx_runtime(graph, recipe.precision, many())
    assert apart(ours, theirs) < most
    rounding = apart(ours, in_torch(wide, many()))
    assert name == "fp32" or rounding > 2 * most, "an engine that leaves the rounding out would pass"


@pytest.mark.parametrize("compute", ["fp16", "bf16"])
@pytest.mark.parametrize("precision", MOST)
def test_logits_are_close_to_fp32(
    precision: str, compute: str, source: Source, exact: np.ndarray, tmp_path: Path
) -> None:
    found = in_torch(source.write(source.recipe(precision, compute), tmp_path))
    error = np.abs(found - exact).max() / exact.std()
    assert 1e-5 < error < MOST[precision] * (2 if compute == "bf16" else 1)


@pytest.mark.parametrize(("precision", "most"), [("fp16", 1.5e-3), ("int8", 0.015), ("fp8", 0.02), ("int4", 0.02)])
def test_onnx_runtime_and_torch_agree_on_fp16(precision: str, most: float, source: Source, tmp_path: Path) -> None:
    """About twice what was measured, but for fp16, 2.5 times; the engines round to fp16 in different places."""
    graph = source.write(source.recipe(precision), tmp_path)
    assert apart(in_torch(graph, many()), in_onnx_runtime(graph, Precision(precision), many())) < most


def test_a_row_does_not_depend_on_its_batch(source: Source, tmp_path: Path) -> None:
    graph = ir.load(source.write(source.recipe("bf16"), tmp_path)).graph
    with torch.no_grad():
        (together,) = run_graph(graph, dict(FEED))
        (alone,) = run_graph(graph, {name: values[:1] for name, values in FEED.items()})
    np.testing.assert_allclose(together[:1], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("compute", ["fp16", "bf16"])
@pytest.mark.parametrize("precision", MOST)
def test_types_of_a_graph(precision: str, compute: str, source: Source) -> None:
    if precision in ("fp16", "bf16"):
        compute = precision
    graph = source.model(precision, compute).graph
    half = {"fp16": ir.DataType.FLOAT16, "bf16": ir.DataType.BFLOAT16}[compute]
    for node in graph:
        floats = {
            value.dtype
            for value in node.inputs
            if value is not None and value.dtype and value.dtype.is_floating_point()
        }
        if node.op_type in ("MatMul", "Attention"):
            assert floats == {half}, node
        elif node.op_type in ("RMSNormalization", "ReduceSum", "QuantizeLinear"):
            assert floats <= {ir.DataType.FLOAT, ir.DataType.FLOAT8E4M3FN}, node
    assert [value.dtype for value in graph.outputs] == [ir.DataType.FLOAT]
    assert [value.name for value in graph.outputs] == ["letter_logits"]
    assert graph.initializers["backbone.embed_tokens.weight"].dtype is half
    assert Counter(node.op_type for node in graph)["Attention"] == 2


def test_names_of_variants(source: Source) -> None:
    found = [source.recipe(*wish).name for wish in (("fp16",), ("bf16",), ("fp8",), ("int8", "bf16"), ("nvfp4",))]
    assert found == ["fp16", "bf16", "fp8-fp16", "int8-bf16", "nvfp4-fp16"]
    recipe = source.recipe("fp8", "bf16")
    assert (recipe.precision, recipe.dialect, recipe.compute) == (Precision.FP8, Dialect.PORTABLE, Compute.BF16)


def test_scales_of_empty_blocks_stay_above_zero(source: Source, tmp_path: Path) -> None:
    class Empty:
        head = source.weights.head

        def read(self, name: str) -> torch.Tensor:
            return torch.zeros_like(source.weights.read(name))

    for precision in ("int4", "nvfp4"):
        graph = Source(source.unbound, Empty()).write(source.recipe(precision), tmp_path)
        logits = in_torch(graph)
        assert not logits.any()
        scales = [value for name, value in ir.load(graph).graph.initializers.items() if name.endswith("_scale")]
        assert all(
            (value.const_value.numpy().astype(np.float32) > 0).all() for value in scales if value.const_value
        )


def test_nvfp4_emulation_against_numpy() -> None:
    matrix = torch.randn(7, 40, generator=torch.Generator().manual_seed(0)) * 0.1
    found = quantize_matrix(matrix)
    padded = np.pad(matrix.numpy(), ((0, 0), (0, 8))).reshape(7, 3, 16)
    wanted = np.abs(padded).max(axis=2) / 6
    scale = wanted.max() / 448
    scales = (wanted / scale).astype(ml_dtypes.float8_e4m3fn)
    grid = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    unit = padded / (scales.astype(np.float32) * scale)[:, :, None]
    values = np.sign(unit) * grid[np.abs(np.abs(unit)[..., None] - grid).argmin(axis=-1)]
    expected = (values * (scales.astype(np.float32) * scale)[:, :, None]).reshape(7, 48)[:, :40]
    wide = found.widened(40).numpy()
    assert np.isclose(wide, expected, atol=1e-6).mean() > 0.99  # ties may go either way
    assert np.abs(wide - matrix.numpy()).max() <= np.abs(matrix.numpy()).max() / 6 * 1.1


def test_headroom() -> None:
    room = headroom({"a": 3.0, "b": 100.0, "c": 7.0})
    assert room.where == "b"
    assert room.times == pytest.approx(655.04)
    room.check()
    narrow = headroom({"a": 65504 / (LEAST - 0.1)})
    assert not narrow.suffices
    with pytest.raises(HeadroomError, match=r"reach 16,796 at a, 3.9 times below fp16's 65,504, expected at"):
        narrow.check()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"engine": EngineName.ORT_CUDA, "precision": Precision.FP8},
            "ort-cuda does not run fp8, expected one",
        ),
        ({"engine": EngineName.OPENVINO, "precision": Precision.BF16}, "openvino does not run bf16"),
        ({"engine": EngineName.ORT_CUDA, "precision": Precision.FP32}, "no 16-bit form"),
        ({"engine": EngineName.TRT, "smooth": True}, "for CPUs alone"),
        ({"targets": ("sm_89",)}, "only the engine trt builds plans"),
        ({"engine": EngineName.TRT, "precision": Precision.INT4, "dialect": Dialect.ORT}, "no ort form"),
    ],
)
def test_bad_wishes(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        rim_export.ExportOptions(**options)  # type: ignore[arg-type]


def test_default_precisions() -> None:
    engines: Iterator[EngineName] = iter(EngineName)
    found = {engine.value: rim_export.default_precision(engine).value for engine in engines}
    assert found == {"auto": "int8", "ort-cpu": "int8", "openvino": "int8", "ort-cuda": "bf16", "trt": "fp8"}
