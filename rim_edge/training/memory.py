"""What a run needs of memory and disk, on paper: from the model's config and the recipe, without loading anything.

A bound for Qwen3 and Llama shapes: everything at its largest, and at the same time. What a GPU's context and the
allocator's gaps take comes on top: leave 2 GB. Measured for small models on a CPU; no GPU has confirmed it yet.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from rim_export.checkpoint.geometry import Geometry

from rim_edge.methods.token_nll import CHUNK_LOGITS
from rim_edge.recipe.changes import Changes
from rim_edge.recipe.recipe import Arithmetic, MicroBatch, Recipe, Resources, Sharding, Trains

_FP32, _BF16 = 4, 2
_RIM_TOKENS = 3
_KEPT_A_TOKEN = MappingProxyType(
    {
        (Trains.FULL, Arithmetic.FP32): 101,
        (Trains.FULL, Arithmetic.BF16): 68,
        (Trains.LORA, Arithmetic.FP32): 141,
        (Trains.LORA, Arithmetic.BF16): 96,
    }
)
"""Bytes that one layer keeps for its backward pass, a token and a unit of width: counted with torch's
saved_tensors_hooks on a layer of Qwen3-1.7B (an inner width of 3 × the width, dropout 0.1 on the adapters)."""
_DROPPED_BYTES = 12
"""A probability of the attention, where it has dropout on a CPU, whose kernel then keeps them all: measured."""
_LOGIT_BYTES = 16
"""A logit of a chunk: narrow and wide, its log-softmax, its gradient."""
_RESERVE = 2e9
"""What a GPU's context and the allocator's gaps take."""


@dataclass(frozen=True)
class Shape:
    """Numbers of a config.json."""

    width: int
    """Hidden size."""
    inner: int
    """Intermediate size."""
    layers: int
    """Number of layers."""
    queries: int
    """Heads × head size."""
    keys: int
    """Key and value heads × head size."""
    head: int
    """Head size."""
    vocabulary: int
    """Rows of the embedding."""
    tied: bool
    """Whether the head is the embedding."""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Shape:
        """Return the shape of a checked config.json."""
        sizes = Geometry.of(config)
        return cls(
            width=sizes.width,
            inner=sizes.inner,
            layers=sizes.layers,
            queries=sizes.heads * sizes.head_size,
            keys=sizes.key_value_heads * sizes.head_size,
            head=sizes.head_size,
            vocabulary=sizes.vocabulary,
            tied=bool(config.get("tie_word_embeddings", False)),
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
    def body(self) -> int:
        """Parameters of all layers and the last norm."""
        return self.layers * self.layer + self.width

    @property
    def words(self) -> int:
        """Parameters of the vocabulary: the embedding, and the head where it is a matrix of its own."""
        return self.vocabulary * self.width * (1 if self.tied else 2)

    def adapters(self, rank: int) -> int:
        """Parameters of all adapters."""
        return self.layers * rank * sum(rows + columns for rows, columns in self.matrices)

    @property
    def projection(self) -> int:
        """Parameters of QThink's projection head: two square matrices, their biases, and a norm."""
        return 2 * self.width**2 + 4 * self.width

    def learned(self, recipe: Recipe) -> int:
        """Parameters that learn."""
        added = self.projection if recipe.curriculum.is_latent else _RIM_TOKENS * self.width
        match recipe.trains:
            case Trains.LORA:
                return self.adapters(recipe.lora.rank) + added
            case Trains.FULL:
                return self.body + added
            case Trains.EVERYTHING:
                return self.body + self.words


def memory(
    shape: Shape, recipe: Recipe, processes: int = 1, longest: int | None = None, device: str = "cuda"
) -> dict[str, float]:
    """Return the bytes on each device by what they are for.

    `longest` is the longest packed row, in tokens; None takes the recipe's limit. `device` is torch's type of it.
    """
    resources = recipe.resources
    adapters = shape.adapters(recipe.lora.rank) if recipe.trains is Trains.LORA else 0
    learn, sharded = shape.learned(recipe), processes > 1 and resources.sharding is Sharding.LAYERS
    share = processes if sharded else 1
    narrow = _BF16 if resources.arithmetic is Arithmetic.BF16 else 0
    parts = {
        "vocabulary, fp32": _FP32 * shape.words,
        "layers, fp32": _FP32 * (shape.body + adapters) / share,
        "gradients, fp32": _FP32 * learn / share,
        "AdamW's moments, fp32": 2 * _FP32 * learn / share,
        "exchange between processes": _exchange(shape, learn, processes, sharded),
        "bf16 copies of what learns": narrow * learn,
        "bf16 copy of the head": narrow * shape.vocabulary * shape.width,
    }
    activations = _activations(shape, recipe, processes, longest or recipe.limits.tokens, device)
    return {name: size for name, size in (parts | activations).items() if size}


def _exchange(shape: Shape, learn: int, processes: int, sharded: bool) -> float:
    """DDP's buckets are a second set of gradients; FSDP2 puts two layers together, and their gradients."""
    if processes == 1:
        return 0
    return _FP32 * (4 * shape.layer if sharded else learn)


def _activations(shape: Shape, recipe: Recipe, processes: int, longest: int, device: str) -> dict[str, float]:
    resources = recipe.resources
    share = -(-recipe.curriculum.batch_size // processes)
    rows = min(resources.micro_batch, share) if isinstance(resources.micro_batch, int) else share
    tokens = rows * longest
    trains = Trains.LORA if recipe.trains is Trains.LORA else Trains.FULL
    one = _KEPT_A_TOKEN[trains, resources.arithmetic] * shape.width * tokens
    states = _FP32 * shape.width * tokens
    kept_layers = 1.5 if resources.recompute else shape.layers + 0.5
    drops = device == "cpu" and trains is Trains.FULL and any(stage.dropout for stage in recipe.curriculum.stages)
    heads = shape.queries // shape.head
    return {
        "activations between layers": states * shape.layers if resources.recompute else 0,
        "activations within layers": kept_layers * one,
        "attention with dropout": kept_layers * _DROPPED_BYTES * heads * rows * longest**2 if drops else 0,
        "mask": (1 + _FP32) * rows * longest**2,
        "a chunk of logits": _LOGIT_BYTES * min(CHUNK_LOGITS, tokens * shape.vocabulary),
    }


def disk(shape: Shape, recipe: Recipe, checkpoint: int) -> int:
    """Return the bytes on the disk at most: two saved states, or one and a checkpoint of this size."""
    state = 3 * _FP32 * shape.learned(recipe)
    return state + max(state, checkpoint)


def device_memory(device: torch.device) -> int | None:
    """Return the bytes of a device's memory; None where they cannot be found out."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    if device.type != "cpu":
        return None
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return None


def fitting_micro_batch(shape: Shape, recipe: Recipe, longest: int | None, device: torch.device) -> int | None:
    """Return how many examples one pass of one process has room for, on paper: a power of two, at least 1.

    None where the device does not say how much memory it has.
    """
    there = device_memory(device)
    if there is None:
        return None
    room = there - (_RESERVE if device.type == "cuda" else 0)
    sizes = [1]
    while sizes[-1] < recipe.curriculum.batch_size:
        sizes.append(2 * sizes[-1])
    fit = [
        size for size in sizes if _total(shape, Changes(micro_batch=size).of(recipe), longest, device.type) <= room
    ]
    return max(fit, default=1)


def _total(shape: Shape, recipe: Recipe, longest: int | None, device: str) -> float:
    return sum(memory(shape, recipe, longest=longest, device=device).values())


def memory_notes(parts: Mapping[str, float], device: torch.device, resources: Resources) -> tuple[str, ...]:
    """Return what is said of memory before training: what it takes and, where that is too much, remedies."""
    there, total = device_memory(device), sum(parts.values())
    largest = sorted(parts.items(), key=lambda part: -part[1])[:3]
    shares = ", ".join(f"{_gb(size)} {name}" for name, size in largest)
    of = "" if there is None else f" of the {_gb(there)} {'on each GPU' if device.type == 'cuda' else 'here'}"
    said = f"memory, on paper: at most {_gb(total)}{of} ({shares}, …)"
    reserve = _RESERVE if device.type == "cuda" else 0
    if there is None or total + reserve <= there:
        return (said,)
    return said, f"that is more than there is: a recipe with {remedies(resources)} takes less"


def remedies(resources: Resources) -> str:
    """Return the settings that lower what a pass needs, the best first."""
    told = resources.micro_batch
    passes = f"micro_batch = {max(1, told // 2)}" if isinstance(told, int) else "micro_batch = 4"
    named = [] if told in (1, MicroBatch.AUTO) else [f"[resources] {passes}"]
    if not resources.recompute:
        named.append("[resources] recompute = true")
    named.append("[limits] fewer tokens")
    if resources.sharding is Sharding.NONE:
        named.append('or, over several GPUs, sharding = "layers"')
    return ", ".join(named)


def _gb(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 5e7 else f"{size / 1e6:,.1f} MB"
