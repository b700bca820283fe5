"""`rim-edge export` as a user starts it, on checkpoints with the real tokenizer: what passes, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from rim_export.certification import attempts
from safetensors.torch import load_file, save_file

from tests.cli.conftest import Run
from tests.export.conftest import TinyCheckpoint

FEW_FLIPS = ("--max-flips", "0.1")
"""Random weights have near-ties: some letters change in int8 without any outlier."""


def refused(failed: Any, target: Path, code: int) -> str:
    """Return what was said; nothing may be left, hidden siblings included."""
    assert (failed.code, failed.out) == (code, "")
    assert "Traceback" not in failed.err
    assert not target.parent.exists() or not list(target.parent.iterdir())
    return str(failed.err)


def test_an_outlier_is_refused_and_keep_going_rescues_it(
    run: Run, outlier_checkpoint: Path, tmp_path: Path, questions: list[str]
) -> None:
    target = tmp_path / "made" / "bundle"
    command = ("export", "--model", str(outlier_checkpoint), "-o", str(target), *FEW_FLIPS)
    said = refused(run(*command), target, 3)
    assert "The int8 variant answers" in said
    assert "allowed are 10.0%. Nothing was written. Layers that cost most" in said
    assert "error of their update: 1 (" in said
    done = run(*command, "--keep-going")
    assert done.code == 0, done.err
    assert "note: Kept wider in int8 (1 part): layers.1.mlp.down_proj in fp32." in done.err
    assert "questions like the checkpoint" in done.out
    assert "of the letters (95 % interval)" in done.out
    assert "kept wider (1 part): layers.1.mlp.down_proj in fp32\n" in done.out
    info = run("bundle", "info", str(target))
    assert "\nwider     int8: layers.1.mlp.down_proj in fp32\n" in info.out
    answered = run("ask", questions[0], "--bundle", str(target), "--json")
    assert (answered.code, answered.json["engine"]) == (0, "ort-cpu")
    assert answered.json["letter"] in "ABCD"


def test_int4_of_a_tiny_random_checkpoint_is_refused_in_clear_words(
    run: Run, tied_checkpoint: TinyCheckpoint, tmp_path: Path
) -> None:
    """Three random layers of 48 channels are too noisy for four bits; the certificate is there to say so."""
    target = tmp_path / "made" / "bundle"
    failed = run("export", "--model", str(tied_checkpoint.path), "-o", str(target), "--precision", "int4")
    said = refused(failed, target, 3)
    assert said.startswith("note: int4 is coarse:")
    assert "The int4-ort variant answers" in said
    assert "of 256 questions otherwise than the checkpoint" in said
    assert "Keep wider what errs most with --keep-going, or allow more with --max-flips." in said


def test_few_golden_questions_are_refused_however_many_flips_are_allowed(
    run: Run, outlier_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The margin is wider than it is for users, so that none is clear."""
    monkeypatch.setattr(attempts, "CLEAR_MARGIN", 100.0)
    target = tmp_path / "made" / "bundle"
    command = ("export", "--model", str(outlier_checkpoint), "-o", str(target), "--max-flips", "0.99")
    said = refused(run(*command), target, 3)
    assert "of 32 candidate questions are answered like the checkpoint with a clear margin (int8 0)" in said
    assert "--keep-going" in said


@pytest.mark.parametrize(
    ("precision", "code", "message"),
    [
        ("fp32", 3, "The fp32 logits are not finite on 32 of 32 questions"),
        ("int8", 2, "Layer 2 gets activations that are no finite numbers, or too large to be squared"),
        (
            "fp8",
            2,
            "Layer 1 gives activations that are no finite numbers on 64 of 64 questions of calibration.jsonl",
        ),
    ],
)
def test_a_checkpoint_that_gives_no_numbers(
    run: Run, damaged: Path, tmp_path: Path, precision: str, code: int, message: str
) -> None:
    file, target = damaged / "model.safetensors", tmp_path / "made" / "bundle"
    weights = load_file(file)
    weights["model.layers.1.mlp.down_proj.weight"][3, 3] = torch.nan
    save_file(weights, file, metadata={"format": "pt"})
    failed = run("export", "--model", str(damaged), "-o", str(target), "--precision", precision)
    assert message in refused(failed, target, code)
