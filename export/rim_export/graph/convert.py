"""Convert modules, first of all the single pass, to ONNX graphs without weights: names, types and shapes only."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
import torch
from onnx_ir.passes import Sequential
from onnx_ir.passes.common import (
    ClearMetadataAndDocStringPass,
    CommonSubexpressionEliminationPass,
    RemoveUnusedNodesPass,
    TopologicalSortPass,
)
from rim_runtime.bundle.manifest import Head
from rim_runtime.prompt.contract import PromptContract
from torch import nn

from rim_export.graph.projection import Projection, use_projections
from rim_export.graph.readout_row import gather_readout_row_early
from rim_export.graph.simplify import simplify
from rim_export.graph.single_pass import INPUTS, SinglePass
from rim_export.graph.skeleton import BACKBONE, anatomy_of, skeleton

OPSET = 23
READOUT = "readout.weight"
"""The output projection of a single pass: the letters' rows, or all of them."""
LM_HEAD = "lm_head.weight"
"""The output projection of a decoder: a row for every token."""


@dataclass(frozen=True)
class UnboundGraph:
    """A graph whose weights are still to be bound."""

    model: ir.Model
    """The graph; the initializers named below hold no values."""
    matrices: frozenset[str]
    """Initializers of large matrix products, [in, out], which is the transpose of the checkpoint's layout."""
    embedding: str
    """Initializer of the embedding table, [vocabulary, hidden]."""
    vectors: frozenset[str]
    """Initializers taken from the checkpoint as they are: gains and shifts of norms, biases, learned positions."""


def convert(config: Any, contract: PromptContract, letters: int, head: Head) -> UnboundGraph:
    """Return the single-pass graph of a transformers config, opset 23, batch and length dynamic.

    Peak memory does not depend on the model's size: no weight is ever written.
    """
    language_model = skeleton(config)
    backbone = language_model.base_model
    table = anatomy_of(language_model).table
    use_projections(backbone)
    outputs = letters if head is Head.LETTERS else int(config.vocab_size)
    module = SinglePass(backbone, Projection(int(config.hidden_size), outputs), contract).eval()
    model = trace(module, _example("letter_logits" if head is Head.LETTERS else "logits"))
    gather_readout_row_early(model.graph)
    tidy(model, "rim_single_pass")
    return unbound_graph(model, module, f"{BACKBONE}.{table}")


@dataclass(frozen=True)
class Example:
    """What a module is traced with."""

    arguments: tuple[Any, ...]
    """Tensors, or lists of tensors, of any values."""
    dimensions: tuple[Any, ...]
    """For each argument, the names of its dynamic dimensions by their numbers."""
    inputs: tuple[str, ...]
    """The graph's names of them, one a tensor."""
    outputs: tuple[str, ...]
    """The graph's names of the results."""


def _example(output: str) -> Example:
    ids, length, blocks = torch.zeros(2, 13, dtype=torch.int64), torch.tensor([13, 7]), torch.tensor([1, 0])
    return Example(
        (ids, length, blocks), ({0: "batch", 1: "length"}, {0: "batch"}, {0: "batch"}), INPUTS, (output,)
    )


def trace(module: nn.Module, example: Example) -> ir.Model:
    """Return a module's graph; its parameters are filled with anything."""
    _make_parameters_distinct(module)
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module,
            example.arguments,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(example.inputs),
            output_names=list(example.outputs),
            dynamic_shapes=example.dimensions,
            verbose=False,
            optimize=False,  # `simplify` takes half the time
        )
    assert program is not None
    model: ir.Model = program.model
    simplify(model)
    return model


def _make_parameters_distinct(module: nn.Module) -> None:
    """Fill small parameters: the exporter merges equal ones, and untouched pages are all zero."""
    for number, parameter in enumerate(module.parameters(), start=1):
        parameter.requires_grad_(False)
        if parameter.numel() < 1 << 20:
            parameter.fill_(number)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's messages about packages that no transformer needs."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def tidy(model: ir.Model, name: str) -> None:
    """Remove what is computed twice or for nothing, and what tells of this machine; name the graph."""
    Sequential(
        CommonSubexpressionEliminationPass(),
        RemoveUnusedNodesPass(),
        TopologicalSortPass(),
        ClearMetadataAndDocStringPass(),  # node metadata contains source paths of this machine
    )(model)
    model.producer_name = "rim-edge"
    model.producer_version = None
    model.graph.name = name
    model.metadata_props.clear()


def unbound_graph(model: ir.Model, module: nn.Module, embedding: str) -> UnboundGraph:
    """Return a traced module's graph with what each of its parameters is."""
    matrices = {f"{name}.weight" for name, part in module.named_modules() if isinstance(part, Projection)}
    parameters = {name for name, _ in module.named_parameters()}
    missing = parameters - set(model.graph.initializers)
    if missing:
        raise AssertionError(f"the conversion lost the parameters {sorted(missing)}")
    return UnboundGraph(model, frozenset(matrices), embedding, frozenset(parameters - matrices - {embedding}))
