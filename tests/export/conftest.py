"""Tiny random checkpoints of the Qwen3 architecture, with the demo's tokenizer or the real one, and questions."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rim_export.checkpoint.prompt import RIM_TOKENS
from rim_export.questions import CALIBRATION_SET, CERTIFICATE_SET, read_questions
from rim_runtime.prompt.options import render_options
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

from rim_edge.puzzles.tokenizer import build_tokenizer
from tests.cli.conftest import run as run  # the command line, for tests of exports as users start them
from tests.conversions import shared_conversions
from tests.places import SHARED


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The data sets and the tokenizer beside the repository; skips where they are not."""
    if not SHARED.is_dir():
        pytest.skip(f"the shared data sets are not at {SHARED}: this test needs the real Qwen3 tokenizer")
    return SHARED


@dataclass(frozen=True)
class TinyCheckpoint:
    """A checkpoint folder and its transformers model in fp32."""

    path: Path
    model: Any
    tokenizer: Any


def _build(
    folder: Path, tokenizer: Any, *, vocabulary: int, tied: bool, key_heads: int, shard_size: str
) -> TinyCheckpoint:
    config = Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=key_heads,
        head_dim=16,
        max_position_embeddings=4096,
        tie_word_embeddings=tied,
        initializer_range=0.25,  # large, so that letters differ clearly and attention is not flat
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
    )
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(config).to(torch.bfloat16)
    for name, parameter in model.named_parameters():
        if name.endswith("norm.weight"):
            parameter.data.uniform_(0.5, 1.5)
    model.save_pretrained(folder, max_shard_size=shard_size)
    tokenizer.save_pretrained(folder)
    # Loaded anew: the cast above rounded the rotary frequencies too, which a real load never does.
    reference = Qwen3ForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return TinyCheckpoint(folder, reference, tokenizer)


@pytest.fixture(scope="session", autouse=True)
def one_conversion_a_model() -> Iterator[None]:
    """Let exports share conversions."""
    with shared_conversions():
        yield


@pytest.fixture(scope="session")
def tied_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> TinyCheckpoint:
    """One file, tied head, two query heads a key head; the demo's tokenizer, which is there for everyone."""
    tokenizer = build_tokenizer()
    folder = tmp_path_factory.mktemp("tied") / "tiny"
    return _build(folder, tokenizer, vocabulary=len(tokenizer), tied=True, key_heads=2, shard_size="5GB")


@pytest.fixture(scope="session")
def untied_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> TinyCheckpoint:
    """Several shards, a head of its own, as many key heads as query heads."""
    tokenizer = build_tokenizer()
    folder = tmp_path_factory.mktemp("untied") / "tiny"
    made = _build(folder, tokenizer, vocabulary=len(tokenizer), tied=False, key_heads=4, shard_size="100KB")
    assert len(list(made.path.glob("*.safetensors"))) > 1
    return made


@pytest.fixture(scope="session")
def real_checkpoint(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> TinyCheckpoint:
    """As `tied_checkpoint`, with the real Qwen3 tokenizer and its whole vocabulary."""
    tokenizer = AutoTokenizer.from_pretrained(shared_data / "qwen3-tokenizer")
    tokenizer.add_tokens(list(RIM_TOKENS), special_tokens=True)
    folder = tmp_path_factory.mktemp("real") / "tiny"
    return _build(folder, tokenizer, vocabulary=151936, tied=True, key_heads=2, shard_size="5GB")


@pytest.fixture
def damaged(tied_checkpoint: TinyCheckpoint, tmp_path: Path) -> Path:
    """A copy of the tied checkpoint that a test may damage."""
    return Path(shutil.copytree(tied_checkpoint.path, tmp_path / "damaged"))


OUTLIER = 2.0**13
"""How much larger the injected channel is; a power of two is exact in bf16."""


@pytest.fixture
def outlier_checkpoint(damaged: Path) -> Path:
    """The same function as the tied checkpoint, but a channel inside layer 1's MLP is 8,192 times larger.

    Rotation spreads it over its block alone; an outlier of the residual stream would be spread until it is none.
    """
    inject_outlier(damaged / "model.safetensors", layer=1, channel=7)
    return damaged


def inject_outlier(file: Path, layer: int, channel: int) -> None:
    """Multiply one row of the projection up, and divide the column of the one down that it meets."""
    weights = load_file(file)
    weights[f"model.layers.{layer}.mlp.up_proj.weight"][channel] *= OUTLIER
    weights[f"model.layers.{layer}.mlp.down_proj.weight"][:, channel] /= OUTLIER
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, file, metadata={"format": "pt"})


def two_letters(*rows: tuple[float, float]) -> np.ndarray:
    """Return letter logits [n, letters] for an offered A and B; the other eight would win if they counted."""
    return np.array([[*row, *8 * [9.0]] for row in rows], np.float32)


@pytest.fixture(scope="session")
def questions() -> list[str]:
    """160 of the medical questions that ship with the exporter, with their options: 96 and 64."""
    return [row.text for file in (CERTIFICATE_SET, CALIBRATION_SET) for row in read_questions(file).asked[:96]]


@pytest.fixture(scope="session")
def real_questions(shared_data: Path) -> list[str]:
    """240 real questions with their options: 120 of MedMCQA, 120 of MMLU's medical subjects."""
    return [
        *_questions(shared_data / "medmcqa" / "dev.jsonl.gz", 120),
        *_questions(shared_data / "mmlu-medical" / "test.jsonl.gz", 120),
    ]


def _questions(path: Path, count: int) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    step = len(rows) // count
    return [render_options(row["question"], list(row["options"].values())) for row in rows[: step * count : step]]
