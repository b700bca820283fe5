"""What a run needs on each GPU, on paper: from the model's config.json and the recipe, without loading anything.

python examples/training/memory.py path/to/Qwen3-1.7B recipe.toml --processes 8

A bound for Qwen3 and Llama shapes: everything at its largest, and at the same time. What the CUDA context and the
allocator's gaps take comes on top; leave 2 GB.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

from rim_edge.methods.rim.losses import CHUNK_LOGITS
from rim_edge.recipe.recipe import Arithmetic, Recipe, Sharding, Trains
from rim_edge.recipe.toml import read_recipe

FP32, BF16 = 4, 2
RIM_TOKENS = 3
KEPT_A_TOKEN = {
    (Trains.FULL, Arithmetic.FP32): 101,
    (Trains.FULL, Arithmetic.BF16): 68,
    (Trains.LORA, Arithmetic.FP32): 141,
    (Trains.LORA, Arithmetic.BF16): 96,
}
"""Bytes that one layer keeps for its backward pass, a token and a unit of width: counted with torch's
saved_tensors_hooks on a layer of Qwen3-1.7B (an inner width of 3 × the width, dropout 0.1 on the adapters)."""
LOGIT_BYTES = 16
"""A logit of a chunk: narrow and wide, its log-softmax, its gradient."""


@dataclass(frozen=True)
class Shape:
    """Numbers of a config.json."""

    width: int
    inner: int
    layers: int
    queries: int
    """Heads × head size."""
    keys: int
    head: int
    vocabulary: int
    tied: bool

    @classmethod
    def read(cls, folder: Path) -> Shape:
        """Read them from a checkpoint's folder."""
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        heads = config["num_attention_heads"]
        head = config.get("head_dim") or config["hidden_size"] // heads
        return cls(
            width=config["hidden_size"],
            inner=config["intermediate_size"],
            layers=config["num_hidden_layers"],
            queries=heads * head,
            keys=config.get("num_key_value_heads", heads) * head,
            head=head,
            vocabulary=config["vocab_size"],
            tied=config.get("tie_word_embeddings", False),
        )

    @property
    def matrices(self) -> tuple[tuple[int, int], ...]:
        """The shapes of a layer's seven matrices: q, k, v, o, gate, up, down."""
        attention = ((self.width, self.queries), *2 * ((self.width, self.keys),), (self.queries, self.width))
        return (*attention, *3 * ((self.width, self.inner),))

    @property
    def layer(self) -> int:
        """Parameters of a layer: its matrices and its four norms."""
        return sum(rows * columns for rows, columns in self.matrices) + 2 * self.width + 2 * self.head

    @property
    def words(self) -> int:
        """Parameters of the vocabulary: the embedding, and the head where it is a matrix of its own."""
        return self.vocabulary * self.width * (1 if self.tied else 2)

    def adapters(self, rank: int) -> int:
        """Parameters of all adapters."""
        return self.layers * rank * sum(rows + columns for rows, columns in self.matrices)


def memory(shape: Shape, recipe: Recipe, processes: int) -> dict[str, float]:
    """Return bytes by what they are for."""
    lora, resources = recipe.trains is Trains.LORA, recipe.resources
    layers = shape.layers * shape.layer + shape.width
    adapters = shape.adapters(recipe.lora.rank) if lora else 0
    learn = (adapters if lora else layers) + RIM_TOKENS * shape.width
    sharded = processes > 1 and resources.sharding is Sharding.LAYERS
    share = processes if sharded else 1
    narrow = BF16 if resources.arithmetic is Arithmetic.BF16 else 0
    parts = {
        "vocabulary, fp32": FP32 * shape.words,
        "layers, fp32": FP32 * (layers + adapters) / share,
        "gradients, fp32": FP32 * learn / share,
        "AdamW's moments, fp32": 2 * FP32 * learn / share,
        "exchange between processes": _exchange(shape, learn, processes, sharded),
        "bf16 copies of what learns": narrow * learn,
        "bf16 copy of the head": narrow * shape.vocabulary * shape.width,
    }
    return {name: size for name, size in (parts | _activations(shape, recipe)).items() if size}


def _exchange(shape: Shape, learn: int, processes: int, sharded: bool) -> float:
    """DDP's buckets are a second set of gradients; FSDP2 puts two layers together, and their gradients."""
    if processes == 1:
        return 0
    return FP32 * (4 * shape.layer if sharded else learn)


def _activations(shape: Shape, recipe: Recipe) -> dict[str, float]:
    resources = recipe.resources
    rows = resources.micro_batch or recipe.curriculum.batch_size
    tokens = rows * recipe.limits.tokens
    one = KEPT_A_TOKEN[recipe.trains, resources.arithmetic] * shape.width * tokens
    states = FP32 * shape.width * tokens
    return {
        "activations between layers": states * shape.layers if resources.recompute else 0,
        "activations within layers": 1.5 * one if resources.recompute else one * (shape.layers + 0.5),
        "mask": (1 + FP32) * rows * recipe.limits.tokens**2,
        "a chunk of logits": LOGIT_BYTES * CHUNK_LOGITS,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a folder with config.json")
    parser.add_argument("recipe", type=Path, help="a recipe in TOML")
    parser.add_argument("--processes", type=int, default=1, help="one a GPU")
    given = parser.parse_args()
    parts = memory(Shape.read(given.model), read_recipe(given.recipe), given.processes)
    for name, size in parts.items():
        print(f"{size / 1e9:8.2f} GB  {name}")
    print(f"{sum(parts.values()) / 1e9:8.2f} GB  together")


if __name__ == "__main__":
    main()
