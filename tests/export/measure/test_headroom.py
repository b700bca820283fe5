"""What is counted against fp16's range is what a graph in fp16 stores, rotated where its weights are."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch
from rim_export.certification.torch_engine import run_graph
from rim_export.checkpoint.folder import Checkpoint
from rim_export.checkpoint.prompt import RimSettings, derive_contract, letter_ids
from rim_export.measure.calibration import observe
from rim_export.measure.headroom import Headroom, headroom
from rim_export.question_sets import CalibrationSet
from rim_export.recipes.precisions import Measured, gpu_recipe
from rim_export.recipes.rotated import ROTATED, rotated
from rim_export.weights.model_weights import ModelWeights
from rim_export.weights.rotatable import rotation_of
from rim_runtime.bundle.manifest import Compute, Head, Precision
from safetensors.torch import load_file, save_file

from rim_edge.demo.make import CHECKPOINT, HERE
from tests.export.gpu_graphs import Source, two_layers

QUESTION = tuple(range(40, 57))
BLOCKS = 4
CHANNEL, TIMES = 5, 800.0
"""What one channel of the stream gets in the first layer is so many times larger than it was."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """The demo's first two layers, one channel of the stream massive."""
    folder = Path(shutil.copytree(HERE / CHECKPOINT, tmp_path_factory.mktemp("demo") / "demo"))
    file = folder / "model.safetensors"
    weights = load_file(file)
    weights["model.layers.0.mlp.down_proj.weight"][CHANNEL] *= TIMES
    save_file(weights, file, metadata={"format": "pt"})
    checkpoint = Checkpoint.open(folder)
    letters = letter_ids(checkpoint.load_tokenizer())
    return Source(two_layers().unbound, ModelWeights(checkpoint, letters, Head.LETTERS))


def counted(source: Source, precision: Precision) -> Headroom:
    """The headroom of the graph's layers."""
    checkpoint = source.weights.checkpoint
    contract = derive_contract(checkpoint.load_tokenizer(), checkpoint.rim or RimSettings())
    ids = (*contract.head, *QUESTION, *contract.tail, *contract.block * BLOCKS, *contract.prefix)
    rotation = rotation_of(source.weights) if precision in ROTATED else None
    largest: dict[str, float] = {}
    with torch.no_grad():
        for seen in observe(source.weights, CalibrationSet("one", ("",), (ids,), ()), lambda _: None, rotation):
            if seen.layer.number < 1:
                largest |= seen.largest
    return headroom(largest)


def stored(source: Source, precision: Precision, folder: Path) -> float:
    """The largest number that the graph has in fp16."""
    ranges = dict.fromkeys(source.unbound.matrices, 1e4)
    recipe = gpu_recipe(precision, Compute.FP16, Measured(ranges))
    graph = ir.load(source.write(rotated(recipe, rotation_of(source.weights)), folder)).graph
    found = [value for node in graph for value in node.outputs if value.dtype is ir.DataType.FLOAT16]
    graph.outputs.extend(found)
    feed = {
        "question_ids": np.array([QUESTION]),
        "question_length": np.array([len(QUESTION)]),
        "blocks": np.array([BLOCKS]),
    }
    with torch.no_grad():
        return max(float(np.abs(values).max()) for values in run_graph(graph, feed)[1:])


@pytest.mark.parametrize("precision", [Precision.FP16, Precision.FP8, Precision.INT8])
def test_it_is_what_the_graph_stores(precision: Precision, source: Source, tmp_path: Path) -> None:
    room, largest = counted(source, precision), stored(source, precision, tmp_path)
    assert room.where.endswith("layers.0.mlp.down_proj.weight")
    assert 65504 / room.times == pytest.approx(largest, rel=0.1)


def test_rotation_makes_room(source: Source) -> None:
    """One channel's massive values are spread over 96."""
    assert counted(source, Precision.FP8).times > 3 * counted(source, Precision.FP16).times
