"""The checkpoint with rows for the RiM tokens, which a chat model lacks, as a training run begins."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.made import hash_files, make_once
from real_parts.setting import SEED
from rim_export.checkpoint.prompt import RimSettings

from rim_edge.model.trainable import load_trainable, write_trained
from rim_edge.recipe.presets import DEMO


def make_checkpoint(source: Path, target: Path) -> dict[str, Any]:
    """Write `source` with RiM tokens to `target`, unless it is there; return the figures of its making.

    The rows are random, of a fixed seed; a checkpoint that has them is only copied. Nothing is trained.
    """

    def make(folder: Path) -> dict[str, Any]:
        rim = RimSettings.from_config(json.loads((source / "config.json").read_text())) or RimSettings()
        trainable = load_trainable(replace(DEMO, scratch=None, rim=rim), source, SEED)
        folder.mkdir(parents=True)
        write_trained(folder, trainable)
        return {}

    weights = sorted(source.glob("*.safetensors"))
    sizes = [file.stat().st_size for file in weights]
    return make_once(target, f"{hash_files(source / 'config.json')} {sizes} {SEED}", make)
