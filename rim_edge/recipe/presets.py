"""Presets: recipes by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from types import MappingProxyType

from rim_export.checkpoint.prompt import RimSettings

from rim_edge.errors import CurriculumError
from rim_edge.recipe.bounds import shown
from rim_edge.recipe.curriculum import Curriculum, Extension, Stage
from rim_edge.recipe.recipe import Arithmetic, Lora, Recipe, Resources, Scratch, Trains
from rim_edge.recipe.switches import Alignment, Anneal, Normalisation, Objective, Schedule


class Preset(StrEnum):
    """What `--preset` takes."""

    DEMO = "demo"
    OPENMED = "openmed"
    GSM8K_AUG = "gsm8k-aug"
    GSM8K = "gsm8k"
    QTHINK = "qthink"


DEMO = Recipe(
    name="demo",
    curriculum=Curriculum(
        (
            Stage(
                "warm-up",
                Objective.TEXT,
                steps=1_600,
                learning_rate=3e-3,
                normalisation=Normalisation.ROWS,
            ),
            Stage(
                "stage 1",
                Objective.STEPS,
                steps=3_400,
                learning_rate=1e-3,
                alignment=Alignment.SAME_STEP,
                anneal=Anneal.UNIFORM,
                normalisation=Normalisation.ROWS,
                extension=Extension(0.25, at_most=10_000),
            ),
            Stage(
                "stage 2",
                Objective.ANSWER,
                steps=2_500,
                learning_rate=1e-3,
                schedule=Schedule.LINEAR,
                normalisation=Normalisation.ROWS,
            ),
        ),
        batch_size=32,
        betas=(0.9, 0.98),
    ),
    rim=RimSettings(blocks=4),
    trains=Trains.EVERYTHING,
    scratch=Scratch(
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
        dtype="bfloat16",
    ),
)
"""A toy from scratch on generated puzzles."""

GSM8K_AUG = Recipe(
    name="gsm8k-aug",
    curriculum=Curriculum(
        (
            Stage("stage 1", Objective.STEPS, steps=18_100, learning_rate=1e-4),
            Stage("stage 2", Objective.ANSWER, steps=6_000, learning_rate=3e-5, dropout=0.1),
        ),
        batch_size=128,
    ),
    trains=Trains.LORA,
    resources=Resources(micro_batch=4, arithmetic=Arithmetic.BF16, recompute=True),
)
"""The paper: LoRA 128, 6 + 2 epochs of 386,000 rows in batches of 128, a constant rate after 4 % of warm-up.
The rates lie in the range that it searched; its own choice, and stage 2's factor and dropout, are not stated.
The passes are for a 1.7B model on one GPU of 24 GB, on paper (training/memory.py): no GPU has run it yet."""

GSM8K = replace(
    GSM8K_AUG,
    name="gsm8k",
    curriculum=replace(
        GSM8K_AUG.curriculum,
        stages=(
            replace(GSM8K_AUG.curriculum.stages[0], steps=0, epochs=6.0),
            replace(GSM8K_AUG.curriculum.stages[1], steps=0, epochs=2.0),
        ),
    ),
)
"""The same epochs on however many rows: 350 + 117 steps on GSM8K's own 7,473 training rows."""

OPENMED = Recipe(
    name="openmed",
    curriculum=Curriculum(
        (
            Stage("stage 1", Objective.STEPS, steps=0, epochs=6.0, learning_rate=2e-5),
            Stage(
                "stage 2",
                Objective.ANSWER,
                steps=0,
                epochs=2.0,
                learning_rate=5e-6,
                dropout=0.1,
                choice_weight=4.0,
            ),
        ),
        batch_size=128,
    ),
    trains=Trains.FULL,
    resources=Resources(micro_batch=8, arithmetic=Arithmetic.BF16, recompute=True),
)
"""The card's shape (K = 8, M = 2, full fine-tuning in bf16, 6 + 2 epochs, multiple choice weighted up in stage 2,
as its v2 is understood) and the paper's batch; the card states neither a rate nor a dropout nor the weight.
The passes are for a 1.7B model on GPUs of 80 GB, one or eight, on paper: no GPU has run it yet."""

QTHINK = Recipe(
    name="qthink",
    curriculum=Curriculum(
        (
            Stage(
                "latent",
                Objective.LATENT,
                steps=0,
                epochs=3.0,
                learning_rate=2e-4,
                normalisation=Normalisation.TOKENS,
            ),
        ),
        batch_size=128,
    ),
    trains=Trains.LORA,
    lora=Lora(rank=32, scale=0.5),
    resources=Resources(micro_batch=2, arithmetic=Arithmetic.BF16),
)
"""QThink's first card (reward-weighted, final step): LoRA 32 with alpha 16, 3 epochs, 2e-4, batches of 128 in
passes of 2, text cut to 128 tokens. The later cards: supervision = "every-step", target_tokens = 256, and
teacher = "all" with gamma = 2. Schedule, warm-up and dropout are not stated. The passes are for a 1.7B model on a
GPU of 40 GB, on paper: no GPU has run it yet."""

PRESETS: Mapping[str, Recipe] = MappingProxyType(
    {Preset(recipe.name): recipe for recipe in (DEMO, OPENMED, GSM8K_AUG, GSM8K, QTHINK)}
)


def preset(name: str) -> Recipe:
    """Return a preset by name. Raises CurriculumError that names the valid ones."""
    if name not in PRESETS:
        near = difflib.get_close_matches(name.casefold(), PRESETS, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise CurriculumError(f"There is no preset {shown(name)}, expected one of: {', '.join(PRESETS)}.{hint}")
    return PRESETS[name]
