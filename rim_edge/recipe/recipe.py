"""A recipe: everything that a run is made of, except the model, the output folder and the seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from rim_export.checkpoint.prompt import RimSettings

from rim_edge.recipe.bounds import SettingError, positive, text, whole
from rim_edge.recipe.curriculum import Curriculum
from rim_edge.recipe.inputs import DataFile, EvalFile
from rim_edge.recipe.latent import LatentTraining


class Trains(StrEnum):
    """Which weights learn."""

    LORA = "lora"
    """Low-rank adapters of the layers' matrices, merged when saved, and the three RiM embeddings."""
    FULL = "full"
    """All layers and the three RiM embeddings; the vocabulary stays frozen, as in the paper."""
    EVERYTHING = "everything"
    """The vocabulary too: for models from scratch."""


class Arithmetic(StrEnum):
    """Number format of the forward pass; trained weights and their moments are always fp32."""

    FP32 = "fp32"
    BF16 = "bf16"


class Sharding(StrEnum):
    """How several processes hold the model."""

    NONE = "none"
    """Each process holds all of it (DDP)."""
    LAYERS = "layers"
    """Each process holds a shard of every layer, its gradients and its moments (FSDP2)."""


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters."""

    rank: int = 128
    """Rank of every adapter (128 in the paper)."""
    scale: float = 1.0
    """Factor of the adapters' product (alpha / rank); no source states it."""

    def __post_init__(self) -> None:
        whole("lora", "rank", self.rank, 1)
        positive("lora", "scale", self.scale)


@dataclass(frozen=True)
class Limits:
    """How long an example may be."""

    tokens: int = 2048
    """Tokens of its packed row, in the longest of the stages; the memory of a pass grows with their square."""
    steps: int = 32
    """Written steps; each takes a block in stage 1 (the paper's data has 13 at most)."""

    def __post_init__(self) -> None:
        whole("limits", "tokens", self.tokens, 1)
        whole("limits", "steps", self.steps, 0)


class Keep(StrEnum):
    """Which weights a run ends with."""

    LAST = "last"
    """Those of its last step."""
    BEST = "best"
    """Those of the last stage that answered most held-out rows right, with all blocks; of equals the first."""


@dataclass(frozen=True)
class Scoring:
    """How a run is scored while it goes on, besides after each stage."""

    every: int | None = None
    """Optimizer steps of a stage between two scores, with all blocks; None: none within a stage."""
    keep: Keep = Keep.LAST
    """Which weights the run ends with."""
    patience: int | None = None
    """Scores in a row that may be no better than the best, before the last stage ends; None: any number."""

    def __post_init__(self) -> None:
        for name, value in (("every", self.every), ("patience", self.patience)):
            if value is not None:
                whole("scoring", name, value, 1)
        if self.patience is not None and self.every is None:
            raise SettingError("scoring", "patience", str(self.patience), "a number for scoring.every too")
        if self.patience is not None and self.keep is not Keep.BEST:
            expected = f'keep = "{Keep.BEST}" too: the last weights are no better than those that it waits for'
            raise SettingError("scoring", "patience", f'{self.patience} beside keep = "{self.keep}"', expected)


class MicroBatch(StrEnum):
    """How many examples go through one pass, where no number says it."""

    AUTO = "auto"
    """As many as fit the memory on paper; half as many whenever it runs out. One process only."""


class Prefetch(StrEnum):
    """Whether a thread makes the next step's batch while a step computes; the same batches either way."""

    AUTO = "auto"
    """On a GPU, which would wait for it; not on a CPU, where it takes the arithmetic's own time."""
    ON = "on"
    OFF = "off"


@dataclass(frozen=True)
class Resources:
    """What a run may use; none of it changes what is learned beyond rounding."""

    micro_batch: int | MicroBatch | None = None
    """Examples in one pass of one process; their gradients add up to the batch's. None: all of its share."""
    arithmetic: Arithmetic = Arithmetic.FP32
    """Number format of the forward pass."""
    recompute: bool = False
    """Whether layers are computed again in the backward pass instead of kept (activation checkpointing)."""
    sharding: Sharding = Sharding.NONE
    """How several processes hold the model; one process holds it whole."""
    save_every: int = 200
    """Optimizer steps between two saved states that a run can be resumed from."""
    save_minutes: float = 15.0
    """Minutes after which a state is saved in any case, for steps that take long."""
    prefetch: Prefetch = Prefetch.AUTO
    """Whether the next step's batch is made while a step computes."""

    def __post_init__(self) -> None:
        if isinstance(self.micro_batch, int):
            whole("resources", "micro_batch", self.micro_batch, 1)
        whole("resources", "save_every", self.save_every, 1)
        positive("resources", "save_minutes", self.save_minutes)


@dataclass(frozen=True)
class Scratch:
    """A small Qwen3 from scratch, with the demo's tokenizer."""

    config: Mapping[str, object]
    """Its configuration, without the vocabulary."""
    embedding_std: float
    """Standard deviation of the initial embedding."""
    dtype: str
    """Floating type of the saved weights."""


@dataclass(frozen=True)
class Recipe:
    """A named recipe."""

    name: str
    """What `--preset` calls it, or the file's name."""
    curriculum: Curriculum
    """What is trained."""
    rim: RimSettings = field(default_factory=RimSettings)
    """Blocks and prefix, for a model that does not bring its own."""
    trains: Trains = Trains.FULL
    """Which weights learn."""
    lora: Lora = field(default_factory=Lora)
    """The adapters, where they learn."""
    limits: Limits = field(default_factory=Limits)
    """Which examples are too long."""
    resources: Resources = field(default_factory=Resources)
    """What the run may use."""
    scoring: Scoring = field(default_factory=Scoring)
    """How it is scored while it goes on."""
    latent: LatentTraining = field(default_factory=LatentTraining)
    """Latent steps, where the stages train them."""
    data: tuple[DataFile, ...] = ()
    """Files of rows; `--data` replaces them."""
    eval: EvalFile | None = None
    """Rows to score after each stage; `--eval` replaces them."""
    scratch: Scratch | None = field(default=None, metadata={"in_file": False})
    """For a model from scratch; None where the recipe needs `--model`."""
    file: Path | None = field(default=None, compare=False, metadata={"in_file": False})
    """The TOML file that it was read from, for messages; None for a preset."""

    def __post_init__(self) -> None:
        text("", "name", self.name)
        if not self.curriculum.is_latent:
            return
        if self.resources.recompute:
            raise SettingError("resources", "recompute", "true", "false where latent steps go through a cache")
        if self.resources.sharding is not Sharding.NONE:
            raise SettingError(
                "resources", "sharding", self.resources.sharding, f"{Sharding.NONE} with latent steps"
            )
