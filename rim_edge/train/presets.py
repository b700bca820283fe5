"""Presets: a curriculum with its blocks, and for the demo the model that it starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rim_export.contract import RimSettings

from rim_edge.train.curriculum import Alignment, Curriculum, Extension, Objective, Schedule, Stage
from rim_edge.train.errors import CurriculumError


@dataclass(frozen=True)
class Preset:
    """A named recipe."""

    name: str
    """What `--preset` calls it."""
    curriculum: Curriculum
    """What is trained."""
    rim: RimSettings
    """Blocks and prefix, for a model that does not bring its own."""
    config: Mapping[str, object] | None = None
    """Qwen3 configuration for a model from scratch; None where the preset needs `--model`."""
    embedding_std: float | None = None
    """From scratch: redraw the embedding with this deviation; None leaves what the configuration gives."""
    saved_dtype: str | None = None
    """Floating type of the saved weights; None keeps that of `--model`."""


DEMO = Preset(
    name="demo",
    curriculum=Curriculum(
        (
            Stage("warm-up", Objective.TEXT, 300, learning_rate=3e-3, extension=Extension(0.5, at_most=1_500)),
            Stage("stage 1", Objective.STEPS, steps=1500, learning_rate=1e-3, alignment=Alignment.SAME_STEP),
            Stage("stage 2", Objective.ANSWER, steps=500, learning_rate=5e-4, schedule=Schedule.LINEAR),
        ),
        betas=(0.9, 0.98),
    ),
    rim=RimSettings(blocks=4),
    config=MappingProxyType(
        {
            "hidden_size": 96,
            "num_hidden_layers": 6,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "head_dim": 32,
            "intermediate_size": 256,
            "max_position_embeddings": 1024,
            "rope_theta": 10000.0,
            "tie_word_embeddings": True,
            "initializer_range": 0.05,
        }
    ),
    embedding_std=0.05,
    saved_dtype="bfloat16",
)

OPENMED = Preset(
    name="openmed",
    curriculum=Curriculum(
        (
            Stage("stage 1", Objective.STEPS, steps=18_100, learning_rate=2e-5),
            Stage("stage 2", Objective.ANSWER, steps=6_000, learning_rate=5e-6),
        ),
        batch_size=128,
    ),
    rim=RimSettings(),
)
"""The card's shape (K = 8, M = 2) and the paper's steps and batch; the card tells no learning rate."""

PRESETS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in (DEMO, OPENMED)})


def preset(name: str) -> Preset:
    """Return a preset by name. Raises CurriculumError naming those there are."""
    if name not in PRESETS:
        raise CurriculumError(f"There is no preset '{name}', expected one of: {', '.join(PRESETS)}.")
    return PRESETS[name]
