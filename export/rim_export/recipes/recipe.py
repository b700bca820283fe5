"""A recipe is a precision as data; `bind` applies it to a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto

import onnx_ir as ir
import torch
from onnx_ir.passes.common import RemoveUnusedNodesPass
from rim_runtime.bundle.manifest import Compute, Dialect, Head, Precision

from rim_export.graph.convert import READOUT, UnboundGraph
from rim_export.graph.edit import products, replace_node
from rim_export.recipes.block_turn import turn_activations
from rim_export.recipes.initializers import bind_matrices, bind_vectors
from rim_export.recipes.merge import merge_products
from rim_export.recipes.narrow_compute import narrow_compute
from rim_export.weights.model_weights import ModelWeights, Smoothing
from rim_export.weights.rotation import Rotation

Rewriter = Callable[[ir.Node, ir.Value, ir.Value], ir.Value]
"""(MatMul, activation, weight) to the product in a recipe's form; it binds the weight."""
Rewrite = Callable[[UnboundGraph, ModelWeights], Rewriter]
"""Returns the rewriter for one graph, which may keep what the graph's products share."""
Emulate = Callable[[str, torch.Tensor, torch.Tensor], torch.Tensor]
"""(name of the weight, activations fp32 [..., in], weight fp32 [out, in]) to products fp32 [..., out]."""


class Form(Enum):
    """What a part of a graph, a product or the embedding table, may have instead of its recipe's own form."""

    FINER = auto()
    """The recipe's finer form."""
    WIDE = auto()
    """As wide as the graph computes; the table, as its recipe says."""


Widened = Mapping[str, Form]
"""What is kept wider, by the names of the graph's weights."""


def in_form(widened: Widened) -> tuple[frozenset[str], frozenset[str]]:
    """Return the weights that are wide, and those that are finer."""
    wide = frozenset(name for name, form in widened.items() if form is Form.WIDE)
    return wide, frozenset(widened) - wide


@dataclass(frozen=True)
class Table:
    """A form of the embedding table."""

    name: str
    """Its number format."""
    bind: Callable[[UnboundGraph, ModelWeights], None]
    """Binds the table of a graph."""
    emulate: Callable[[torch.Tensor], torch.Tensor] | None = None
    """Rows as the graph gathers them, fp32 [..., hidden] to the same; None: as exact as the graph computes."""
    wide: Table | None = None
    """The form that `--keep-going` takes instead; None: there is no wider one."""


@dataclass(frozen=True)
class Finer:
    """A form of products between a recipe's own and full width: some of them may have it instead."""

    name: str
    """What it is called in a manifest."""
    rewrite: Callable[[frozenset[str]], Rewrite]
    """Returns how the graph's products are written, those with these weights in the finer form."""
    emulate: Emulate
    """Products in the finer form, in torch."""


@dataclass(frozen=True)
class Recipe:
    """What a precision does to a graph without weights."""

    precision: Precision
    """Its number format."""
    dialect: Dialect
    """The operators it writes."""
    rewrite: Rewrite | None
    """How it writes the large products; None leaves them as converted, as wide as the graph computes."""
    table: Table
    """How it stores the embedding table."""
    emulate: Emulate | None
    """Its products in torch, to measure what they err; None if they are the checkpoint's own."""
    joins: bool = False
    """Whether three or more products of one activation become one (q, k, v)."""
    widens: bool = True
    """Whether products can be kept as wide as the graph computes; False if all of them are."""
    finer: Finer | None = None
    """A form between its own and that width; None: there is none."""
    by_row: tuple[str, ...] = ()
    """fp8 at constant scales: products, by their short names, that take each token's own, since they err less."""
    compute: Compute = Compute.FP32
    """The type the graph computes in between its products."""
    smoothing: Smoothing | None = None
    """Factors that are folded into the weights first."""
    rotation: Rotation | None = None
    """Turns that are folded into the weights then."""

    @property
    def name(self) -> str:
        """The variant's name: the precision, then dialect and compute type unless they are the defaults."""
        dialect = () if self.dialect is Dialect.PORTABLE else (self.dialect,)
        compute = () if self.compute in (Compute.FP32, self.precision.value) else (self.compute,)
        return "-".join([self.precision, *dialect, *compute])


def bind(
    recipe: Recipe,
    unbound: UnboundGraph,
    weights: ModelWeights,
    wide: frozenset[str],
    finer: frozenset[str] = frozenset(),
) -> None:
    """Rewrite a graph by a recipe and bind its weights.

    Matrices in `wide` stay as wide as the graph computes, and the embedding table there takes its wide form; those
    in `finer` take the recipe's finer form.
    """
    if recipe.smoothing is not None:
        weights = replace(weights, smoothing=recipe.smoothing)
    if recipe.rotation is not None:
        weights = replace(weights, rotation=recipe.rotation)
        turn_activations(unbound, recipe.rotation)
    narrow = narrow_matrices(unbound, weights.head, wide)
    bind_vectors(unbound, weights)
    bind_matrices(unbound, weights, unbound.matrices - narrow)
    if recipe.joins:
        narrow = merge_products(unbound, narrow)
    if recipe.rewrite is None:
        bind_matrices(unbound, weights, narrow)
    else:
        rewrite = recipe.finer.rewrite(finer) if recipe.finer and finer else recipe.rewrite
        _rewrite_products(unbound, narrow, rewrite(unbound, weights))
    table = recipe.table.wide if unbound.embedding in wide else None
    (table or recipe.table).bind(unbound, weights)
    if recipe.compute is not Compute.FP32:
        narrow_compute(unbound.model.graph, recipe.compute)


def narrow_matrices(unbound: UnboundGraph, head: Head, wide: frozenset[str]) -> frozenset[str]:
    """Return the matrices that a recipe narrows: all but the wide ones and the readout of the letters."""
    return unbound.matrices - wide - ({READOUT} if head is Head.LETTERS else set())


def _rewrite_products(unbound: UnboundGraph, names: frozenset[str], rewriter: Rewriter) -> None:
    for node, activation, weight in products(unbound.model.graph, names):
        replace_node(node, rewriter(node, activation, weight))
    RemoveUnusedNodesPass()(unbound.model)
