"""16-bit graphs of a small trained model, two layers of the demo, and of random ones at real geometries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx_ir as ir
import torch
from rim_export.checkpoint.folder import Checkpoint
from rim_export.checkpoint.prompt import RimSettings, derive_contract, letter_ids
from rim_export.graph.convert import UnboundGraph
from rim_export.recipes.precisions import Measured, gpu_recipe
from rim_export.recipes.recipe import Recipe, bind
from rim_export.weights.files import write_graph
from rim_export.weights.model_weights import ModelWeights
from rim_runtime.bundle.manifest import Compute, Head, Precision

from rim_edge.demo.make import CHECKPOINT, HERE
from tests.conversions import convert_once

RANGE = 128.0
"""Every activation's range in fp8: wide enough for the demo; what it is makes no difference to a parser."""


@dataclass(frozen=True)
class Source:
    """What graphs are made from."""

    unbound: UnboundGraph
    weights: Any
    """ModelWeights, or what stands in for it."""

    def recipe(self, precision: str, compute: str = "fp16") -> Recipe:
        ranges = dict.fromkeys(self.unbound.matrices, RANGE)
        return gpu_recipe(Precision(precision), Compute(compute), Measured(ranges, 32))

    def bound(self, recipe: Recipe) -> UnboundGraph:
        unbound = replace(self.unbound, model=self.unbound.model.clone())
        bind(recipe, unbound, self.weights, frozenset())
        return unbound

    def model(self, precision: str, compute: str = "fp16") -> ir.Model:
        return self.bound(self.recipe(precision, compute)).model

    def write(self, recipe: Recipe, folder: Path) -> Path:
        graph = folder / f"model.{recipe.name}.onnx"
        write_graph(self.bound(recipe), graph, Path(f"{graph}.data"))
        return graph


def two_layers() -> Source:
    """Return the demo's embedding, its first two layers and its readout."""
    checkpoint = Checkpoint.open(HERE / CHECKPOINT)
    tokenizer = checkpoint.load_tokenizer()
    letters = letter_ids(tokenizer)
    contract = derive_contract(tokenizer, checkpoint.rim or RimSettings())
    config = checkpoint.load_config()
    config.num_hidden_layers, config.layer_types = 2, config.layer_types[:2]
    unbound = convert_once(config, contract, len(letters), Head.LETTERS)
    return Source(unbound, ModelWeights(checkpoint, letters, Head.LETTERS))


@dataclass(frozen=True)
class RandomWeights:
    """Stands in for ModelWeights: bf16 numbers of the shapes that the graph has."""

    unbound: UnboundGraph
    head: Head = Head.LETTERS

    def read(self, name: str) -> torch.Tensor:
        if "+" in name:
            return torch.cat([self.read(part) for part in name.split("+")])
        shape = self.unbound.model.graph.initializers[name].shape
        assert shape is not None
        sizes = shape.numpy() if name not in self.unbound.matrices else shape.numpy()[::-1]
        generator = torch.Generator().manual_seed(len(name))
        return torch.randn(*sizes, generator=generator, dtype=torch.float32).mul_(0.02).bfloat16()


def at_1_7b(layers: int) -> Source:
    """Return a random model of Qwen3-1.7B's geometry, with this many layers and a contract like its card's."""
    from rim_runtime.prompt.contract import PromptContract
    from transformers import Qwen3Config

    config = Qwen3Config(
        vocab_size=151936,
        hidden_size=2048,
        intermediate_size=6144,
        num_hidden_layers=layers,
        num_attention_heads=16,
        num_key_value_heads=8,
        head_dim=128,
        max_position_embeddings=40960,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
    )
    checkpoint = Checkpoint.open(HERE / CHECKPOINT)
    contract = derive_contract(checkpoint.load_tokenizer(), RimSettings())
    assert isinstance(contract, PromptContract)
    unbound = convert_once(config, contract, 10, Head.LETTERS)
    return Source(unbound, RandomWeights(unbound))
