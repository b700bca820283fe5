"""Where, and in which number format, a checkpoint is scored."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from rim_runtime import InputError, UnavailableError
from rim_runtime.bundle.manifest import Precision

from rim_edge.evaluation.arithmetic import choose_arithmetic
from rim_edge.evaluation.checkpoint_answers import open_checkpoint
from tests.places import DEMO_FOLDER

CHECKPOINT = DEMO_FOLDER.parent / "checkpoint"


@pytest.fixture
def stored(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The demo's checkpoint, said to be stored in another dtype."""
    shutil.copytree(CHECKPOINT, tmp_path, dirs_exist_ok=True)
    config = json.loads((CHECKPOINT / "config.json").read_text()) | {"dtype": request.param}
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


@pytest.mark.parametrize(
    ("stored", "capability", "device", "asked", "expected"),
    [
        ("bfloat16", None, "auto", None, ("cpu", "fp32")),
        ("bfloat16", (9, 0), "auto", None, ("cuda:0", "bf16")),
        ("bfloat16", (7, 5), "auto", None, ("cuda:0", "fp32")),
        ("float32", (9, 0), "auto", None, ("cuda:0", "fp32")),
        ("float32", (9, 0), "cuda:1", Precision.FP16, ("cuda:1", "fp16")),
        ("bfloat16", (9, 0), "cpu", None, ("cpu", "fp32")),
        ("float32", None, "cpu", Precision.BF16, ("cpu", "bf16")),
    ],
    indirect=["stored"],
)
def test_a_gpu_scores_in_the_format_that_the_checkpoint_is_stored_in(
    stored: Path,
    capability: tuple[int, int] | None,
    device: str,
    asked: Precision | None,
    expected: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: capability is not None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    found = choose_arithmetic(stored, device, asked)
    assert (str(found.device), found.precision) == expected


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [(None, torch.float32), (Precision.BF16, torch.bfloat16), (Precision.FP16, torch.float16)],
)
def test_a_checkpoint_is_opened_in_the_format_it_is_scored_in(
    precision: Precision | None, dtype: torch.dtype
) -> None:
    model, _ = open_checkpoint(CHECKPOINT, choose_arithmetic(CHECKPOINT, "cpu", precision))
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}


def test_what_is_not_here_or_not_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UnavailableError, match="torch finds 0 CUDA devices here"):
        choose_arithmetic(CHECKPOINT, "cuda", None)
    for device in ("gpu", "cuda:", "cuda:x", "cpu:0", "cuda:-1", "cuda:²"):
        with pytest.raises(InputError, match="expected auto, cpu, cuda or cuda:N"):
            choose_arithmetic(CHECKPOINT, device, None)
