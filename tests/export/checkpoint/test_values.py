"""Values of a config.json that no model can have: all are named before a library meets them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rim_export.checkpoint.folder import Checkpoint
from rim_export.errors import CheckpointError
from rim_export.graph.skeleton import skeleton

from tests.places import DEMO_PACKAGE


def changed(tmp_path: Path, **values: Any) -> Path:
    folder = Path(shutil.copytree(DEMO_PACKAGE / "checkpoint", tmp_path / "checkpoint"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | values), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_hidden_layers", "five"),
        ("num_hidden_layers", True),
        ("num_hidden_layers", None),
        ("hidden_size", -1),
        ("num_attention_heads", 0),
        ("num_key_value_heads", 3),
        ("head_dim", 2.5),
        ("intermediate_size", 2**62),
        ("vocab_size", 10**12),
        ("max_position_embeddings", "x"),
        ("rms_norm_eps", "a"),
        ("rms_norm_eps", float("nan")),
        ("rope_theta", -1.0),
        ("tie_word_embeddings", "no"),
        ("layer_types", 5),
        ("layer_types", ["full_attention"]),
        ("layer_types", [["full_attention"]] * 4),
        ("rope_parameters", []),
        ("hidden_act", 7),
    ],
)
def test_impossible_values_are_refused_by_name(tmp_path: Path, name: str, value: Any) -> None:
    with pytest.raises(CheckpointError, match=f"config.json has {name} = .*, expected "):
        Checkpoint.open(changed(tmp_path, **{name: value}))


@pytest.mark.parametrize("entry", [{"tokens": 5}, {"tokens": "abc"}, {"tokens": ["a", "b"]}, {"blocks": "8"}, [8]])
def test_impossible_rim_entries_are_refused(tmp_path: Path, entry: Any) -> None:
    with pytest.raises(CheckpointError, match="rim"):
        _ = Checkpoint.open(changed(tmp_path, rim=entry)).rim


@pytest.mark.parametrize(
    "values",
    [
        {"hidden_act": "evil"},
        {"head_dim": 17},
        {"head_dim": None},
        {"dtype": "evil"},
        {"rope_parameters": {"rope_type": "default", "rope_theta": "much"}},
        {"pad_token_id": "much"},
    ],
)
def test_what_transformers_cannot_build_is_an_error_of_the_checkpoint(tmp_path: Path, values: Any) -> None:
    checkpoint = Checkpoint.open(changed(tmp_path, **values))
    with pytest.raises(CheckpointError, match=r"config\.json .*Copy it"):
        skeleton(checkpoint.load_config())
