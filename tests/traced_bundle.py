"""A trace for tiny bundles: their hand-written graph, once for every number of blocks."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from rim_runtime.bundle.folder import Bundle, file_entries, save_manifest
from rim_runtime.bundle.manifest import Dialect
from rim_runtime.bundle.roles import Cache, Decoding, Role, RoleGraph, optional_entries

from tests.conftest import VOCABULARY, MakeBundle

TRACE, DECODER = "model.fp32.trace.onnx", "model.fp32.decoder.onnx"
END = 0
"""The token that ends a text: control tokens have no text."""


@pytest.fixture
def traced_bundle(make_bundle: MakeBundle) -> Path:
    """One tiny fp32 bundle that traces letters."""
    return add_trace(make_bundle("traced"))


@pytest.fixture
def traced_text_bundle(make_bundle: MakeBundle) -> Path:
    """One that traces the first tokens of texts too; its decoder cannot be opened."""
    return add_trace(make_bundle("traced-text"), with_text=True)


def add_trace(folder: Path, *, with_text: bool = False) -> Path:
    """Add a trace to a bundle's fp32 variant."""
    manifest = Bundle.load(folder).manifest
    write_trace(folder, manifest.prompt.blocks, with_text=with_text)
    graphs = [RoleGraph(Role.TRACE, "fp32", TRACE, Dialect.PORTABLE)]
    decoding = None
    if with_text:
        shutil.copy(folder / manifest.variants[0].graph, folder / DECODER)
        graphs.append(RoleGraph(Role.DECODER, "fp32", DECODER, Dialect.ORT))
        decoding = Decoding(1, 1, 1, 1, VOCABULARY, (END,), Cache.APPENDED, (END,))
    entries = json.loads(json.dumps(optional_entries(tuple(graphs), decoding)))
    save_manifest(folder, dataclasses.replace(manifest, files=file_entries(folder), optional=entries))
    return folder


def write_trace(folder: Path, blocks: int, *, with_text: bool) -> None:
    """Write the trace's graph, over the single pass's file of weights.

    `logits` are the letters' logits, as those of the first tokens, and -50 for all other tokens.
    """
    model = onnx.load(folder / "model.fp32.onnx", load_external_data=False)
    graph = model.graph
    for name in ("counts", "steps"):
        graph.node.remove(next(node for node in graph.node if node.output[0] == name))
    graph.input.remove(next(value for value in graph.input if value.name == "blocks"))
    angles = next(node for node in graph.node if node.output[0] == "angles")
    angles.input[0] = "each"
    graph.node.insert(list(graph.node).index(angles), helper.make_node("Unsqueeze", ["phases", "last"], ["each"]))
    constants = {"steps": np.arange(blocks + 1, dtype=np.float32)[None], "last": np.array([2], np.int64)}
    if with_text:
        pads = np.array([0, 0, 0, 0, 0, VOCABULARY - 10], np.int64)
        constants |= {"pads": pads, "low": np.array(-50, np.float32)}
        graph.node.append(helper.make_node("Pad", ["letter_logits", "pads", "low"], ["logits"]))
    graph.initializer.extend(numpy_helper.from_array(value, key) for key, value in constants.items())
    del graph.output[:]
    widths = {"letter_logits": 10} | ({"logits": VOCABULARY} if with_text else {})
    graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", blocks + 1, width])
        for name, width in widths.items()
    )
    (folder / TRACE).write_bytes(model.SerializeToString())
