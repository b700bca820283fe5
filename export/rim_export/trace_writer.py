"""Write a variant's trace beside its single pass: one more graph over the same file of weights."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.manifest import Variant
from rim_runtime.bundle.roles import Role, RoleGraph

from rim_export.graph.convert import UnboundGraph
from rim_export.recipes.recipe import Recipe, Widened, bind, in_form
from rim_export.weights.files import add_graph
from rim_export.weights.model_weights import ModelWeights


@dataclass(frozen=True)
class TraceWriter:
    """What traces are made from, and where they are written."""

    unbound: UnboundGraph
    """The trace without weights; every variant's is made from a copy."""
    weights: ModelWeights
    """The checkpoint's tensors."""
    bundle: Bundle
    """The folder that the variants, and their decoders, were written to."""

    def write(self, recipe: Recipe, variant: Variant, widened: Widened, decoder: RoleGraph | None) -> RoleGraph:
        """Write the trace of a variant, by the recipe of its single pass; return its manifest entry.

        All weights are the single pass's, but for the output projection of text, which is its decoder's.
        """
        unbound = replace(self.unbound, model=self.unbound.model.clone())
        bind(recipe, unbound, self.weights, *in_form(widened))
        name, folder = f"model.{variant.name}.trace.onnx", self.bundle.path
        others = (variant.graph, *((decoder.graph,) if decoder else ()))
        add_graph(unbound, folder / name, [folder / other for other in others], folder / variant.data)
        return RoleGraph(Role.TRACE, variant.name, name, variant.dialect)
