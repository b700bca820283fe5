"""What each family's config.json says, in whose words, and what is refused in it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rim_export.checkpoint.families import REFUSALS, check_architecture, window_of
from rim_export.checkpoint.geometry import Geometry, spelling
from rim_export.errors import UnsupportedModelError
from transformers import CONFIG_MAPPING


def config_of(kind: str, **options: Any) -> dict[str, Any]:
    """A config.json as transformers writes it for this family's defaults."""
    defaults = {"mistral": {"sliding_window": None}}.get(kind, {})
    found: dict[str, Any] = json.loads(CONFIG_MAPPING[kind](**defaults).to_json_string(use_diff=False))
    return found | {"model_type": kind} | options


@pytest.mark.parametrize("kind", sorted(REFUSALS))
def test_every_family_resolves(kind: str) -> None:
    """optimum's names and ours find in config.json what transformers' own config says by attribute."""
    theirs = CONFIG_MAPPING[kind]()
    sizes = Geometry.of(config_of(kind))
    assert sizes.layers == theirs.num_hidden_layers
    assert sizes.width == theirs.hidden_size
    assert sizes.heads == theirs.num_attention_heads
    assert sizes.vocabulary == theirs.vocab_size
    assert sizes.positions == theirs.max_position_embeddings
    assert sizes.key_value_heads == (getattr(theirs, "num_key_value_heads", None) or sizes.heads)
    assert sizes.head_size == (getattr(theirs, "head_dim", None) or sizes.width // sizes.heads)
    assert sizes.inner == (getattr(theirs, "intermediate_size", None) or 4 * sizes.width)


@pytest.mark.parametrize("kind", sorted(REFUSALS))
def test_every_family_is_taken_as_it_is(kind: str) -> None:
    config = config_of(kind)
    check_architecture(config)
    for name in ("num_key_value_heads", "head_dim"):  # absent in old checkpoints, null in Mistral's
        check_architecture({key: value for key, value in config.items() if key != name})
        check_architecture(config | {name: None})


LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "rope_theta": 5e5}
REFUSED = (
    ("llama", {"rope_parameters": {"rope_type": "yarn"}}, "rope scaling other than llama3"),
    ("llama", {"rope_scaling": {"type": "dynamic"}}, "rope scaling other than llama3"),
    ("qwen2", {"rope_parameters": LLAMA3}, "rope scaling"),
    ("qwen2", {"use_sliding_window": True}, "sliding window"),
    ("qwen3", {"rope_parameters": {"full_attention": LLAMA3}}, "RoPE by type of layer"),
    ("mistral", {"layer_types": ["sliding_attention"] * 32}, "sliding window"),
    ("phi3", {"rope_scaling": {"type": "longrope"}}, "rope scaling"),
    ("smollm3", {"rope_parameters": {"rope_type": "yarn"}}, "rope scaling"),
    ("olmo2", {"rope_parameters": {"rope_type": "linear"}}, "rope scaling"),
    ("gpt2", {"add_cross_attention": True}, "cross attention"),
    ("gemma2", {}, r"'gemma2' \(softcap"),
    ("gemma3_text", {}, r"'gemma3_text' \(norms with gains of 1 \+ w"),
    ("mixtral", {}, r"'mixtral' \(a mixture of experts\)"),
    ("bloom", {}, "model_type is 'bloom', supported: gpt2, llama"),
)


@pytest.mark.parametrize(("kind", "options", "named"), REFUSED)
def test_what_a_family_cannot_do_is_refused_by_name(kind: str, options: dict[str, Any], named: str) -> None:
    with pytest.raises(UnsupportedModelError, match=named):
        check_architecture(config_of(kind, **options))


def test_windows() -> None:
    """One that is not mentioned is Mistral's own; Qwen's is not used."""
    unsaid = {name: value for name, value in config_of("mistral").items() if name != "sliding_window"}
    assert window_of(unsaid) == 4096
    assert window_of(config_of("mistral")) is None
    assert window_of(config_of("phi3", sliding_window=2047)) == 2047
    assert window_of(config_of("qwen2", sliding_window=4096)) is None


def test_llama3_rope_is_taken() -> None:
    check_architecture(config_of("llama", rope_parameters=LLAMA3))
    check_architecture(config_of("llama", rope_scaling=LLAMA3))


def test_names_are_read_without_torch_and_transformers(tmp_path: Path) -> None:
    code = "import sys; from rim_export.checkpoint.geometry import spelling; spelling('gpt2'); "
    code += "assert not {'torch', 'transformers', 'onnxruntime'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, timeout=300)
    assert spelling("gpt2")["layers"] == "n_layer"
