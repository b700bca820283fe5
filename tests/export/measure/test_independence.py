"""The reference shares nothing with the graph: what is broken in the path of the graph alone is refused."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rim_export
import torch
from rim_export import pipeline
from rim_export.errors import VariantRefusedError
from rim_export.graph import attention
from rim_export.graph.convert import convert
from rim_export.weights.model_weights import ModelWeights
from rim_runtime.bundle.manifest import Precision
from safetensors.torch import load_file, save_file

from tests.conversions import convert_once

FP32 = rim_export.ExportOptions(precision=Precision.FP32)
TABLE = "model.embed_tokens.weight"


@pytest.fixture
def faint_checkpoint(damaged: Path) -> Path:
    """A checkpoint whose embeddings have a variance near the norms' epsilon, which thus matters."""
    weights = load_file(damaged / "model.safetensors")
    weights[TABLE] = weights[TABLE] * 2.0**-10
    save_file(weights, damaged / "model.safetensors", metadata={"format": "pt"})
    return damaged


def with_config(change: Callable[[Any], None]) -> Callable[..., Any]:
    """Convert the model of another config than the checkpoint's."""

    def convert_other(config: Any, *rest: Any) -> Any:
        other = copy.deepcopy(config)
        change(other)
        return convert_once(other, *rest)

    return convert_other


def half_the_scale(patch: pytest.MonkeyPatch) -> None:
    own = attention._causal_attention
    patch.setattr(attention, "_causal_attention", lambda *given, scaling, **more: own(*given, scaling / 2, **more))
    patch.setattr(pipeline, "convert", convert)  # not the one that other tests share


def another_rotary_base(patch: pytest.MonkeyPatch) -> None:
    change = with_config(lambda config: config.rope_parameters.update(rope_theta=10_000.0))
    patch.setattr(pipeline, "convert", change)


def another_epsilon(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pipeline, "convert", with_config(lambda config: setattr(config, "rms_norm_eps", 1e-5)))


def one_weight(patch: pytest.MonkeyPatch) -> None:
    own = ModelWeights.read

    def read(weights: ModelWeights, name: str) -> torch.Tensor:
        found = own(weights, name)
        return found.flip(0) if name == "backbone.layers.1.mlp.down_proj.weight" else found

    patch.setattr(ModelWeights, "read", read)


@pytest.mark.parametrize("fault", [half_the_scale, another_rotary_base, another_epsilon, one_weight])
def test_a_fault_of_the_graph_is_refused(
    fault: Callable[[pytest.MonkeyPatch], None],
    faint_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fault(monkeypatch)
    with pytest.raises(VariantRefusedError, match="The fp32 variant answers") as refused:
        rim_export.export(faint_checkpoint, tmp_path / "bundle", FP32)
    flips, asked = map(int, re.findall(r"answers (\d+) of (\d+)", str(refused.value))[0])
    assert flips > asked // 20
    assert not (tmp_path / "bundle").exists()


def test_without_a_fault_it_passes(faint_checkpoint: Path, tmp_path: Path) -> None:
    report = rim_export.export(faint_checkpoint, tmp_path / "bundle", FP32)
    (certified,) = report.certificate.variants
    assert certified.flips == 0
    assert certified.max_logit_error < 1e-3


@pytest.mark.parametrize("option", [{"sliding_window": 64}, {"softcap": 50.0}, {"s_aux": torch.zeros(2)}])
def test_our_attention_refuses_what_it_does_not_compute(option: dict[str, Any]) -> None:
    states = torch.zeros(1, 2, 3, 4)
    known = {"scaling": 0.5, "dropout": 0.0, "position_ids": torch.arange(3)[None]}
    attention._causal_attention(torch.nn.Identity(), states, states, states, None, **known, sliding_window=None)
    with pytest.raises(NotImplementedError, match=f"attention with {next(iter(option))} cannot be exported"):
        attention._causal_attention(torch.nn.Identity(), states, states, states, None, **known, **option)
