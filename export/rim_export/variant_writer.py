"""Write variants: a copy of the converted graph, bound by a recipe, and its weights."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.manifest import Compute, Variant

from rim_export.graph.convert import UnboundGraph
from rim_export.progress import Progress
from rim_export.recipes.recipe import Recipe, Widened, bind, in_form
from rim_export.tensorrt.lint import require_legal
from rim_export.weights.files import write_graph
from rim_export.weights.model_weights import ModelWeights


@dataclass(frozen=True)
class VariantWriter:
    """What variants are made from, and where they are written."""

    unbound: UnboundGraph
    """The graph without weights; every variant is made from a copy."""
    weights: ModelWeights
    """The checkpoint's tensors."""
    bundle: Bundle
    """The folder they are written to, and the manifest so far."""
    tell: Progress
    """Called with what is being done."""

    def write(self, recipe: Recipe, widened: Widened) -> Variant:
        """Write a variant over its earlier files, with some of its parts wider; return its manifest entry.

        Raises GraphRuleError if a graph for GPUs is not legal for TensorRT.
        """
        unbound = replace(self.unbound, model=self.unbound.model.clone())
        bind(recipe, unbound, self.weights, *in_form(widened))
        if recipe.compute is not Compute.FP32:
            require_legal(unbound.model, recipe.name)
        graph, data = f"model.{recipe.name}.onnx", f"model.{recipe.name}.onnx.data"
        folder = self.bundle.path
        for name in (graph, data):
            (folder / name).unlink(missing_ok=True)
        label = f"Writing {recipe.name} weights"
        write_graph(unbound, folder / graph, folder / data, lambda share: self.tell(label, share))
        return Variant(
            recipe.name,
            recipe.precision,
            self.weights.head,
            graph,
            data,
            dialect=recipe.dialect,
            compute=recipe.compute,
        )
