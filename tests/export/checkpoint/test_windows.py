"""A model whose window slides over its prompts: a bundle takes no longer prompt, so that it cannot matter."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from rim_export import ExportOptions
from rim_export.checkpoint.folder import Checkpoint
from rim_export.chosen_prompt import choose_contract, choose_limits
from rim_export.errors import CheckpointError
from rim_export.graph.skeleton import OWN_ATTENTION, skeleton

from tests.export.families import FAMILIES, TinyFamily

WINDOW = 96


@pytest.fixture(scope="module")
def windowed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return TinyFamily("mistral", {"sliding_window": WINDOW}).build(tmp_path_factory.mktemp("tiny") / "w").path


def test_prompts_and_texts_end_at_the_window(windowed: Path, tmp_path: Path) -> None:
    checkpoint = Checkpoint.open(windowed)
    contract, notes = choose_contract(checkpoint, checkpoint.load_tokenizer(), ExportOptions())
    assert any(f"sees the last {WINDOW} tokens (sliding_window)" in note for note in notes)
    limits = choose_limits(checkpoint, contract, ExportOptions())
    assert (limits.max_length, limits.model_positions) == (WINDOW, WINDOW)
    assert limits.question_tokens + contract.fixed_tokens == WINDOW
    shorter = choose_limits(checkpoint, contract, ExportOptions(max_length=WINDOW - 8))
    assert (shorter.max_length, shorter.model_positions) == (WINDOW - 8, WINDOW)
    without = Checkpoint.open(FAMILIES["mistral"].build(tmp_path / "without").path)
    assert not any(
        "window" in note for note in choose_contract(without, without.load_tokenizer(), ExportOptions())[1]
    )


def test_a_window_without_room_for_a_question_is_refused(tmp_path: Path) -> None:
    checkpoint = Checkpoint.open(TinyFamily("mistral", {"sliding_window": 16}).build(tmp_path / "tiny").path)
    contract, _ = choose_contract(checkpoint, checkpoint.load_tokenizer(), ExportOptions())
    with pytest.raises(CheckpointError, match=r"the model's positions or window 16, --max-length 2048"):
        choose_limits(checkpoint, contract, ExportOptions())


@torch.no_grad()
def test_up_to_the_window_and_no_further_graphs_compute_what_the_model_does(windowed: Path) -> None:
    """The skeleton of graphs has no window, that of the reference has; the checkpoint's weights in both."""
    checkpoint = Checkpoint.open(windowed)
    ours, theirs = skeleton(checkpoint.load_config()), skeleton(checkpoint.load_config(), OWN_ATTENTION)
    for model in (ours, theirs):
        for name, parameter in model.named_parameters():
            parameter.copy_(checkpoint.weights.read(name))
    ids = torch.randint(0, 500, (1, WINDOW + 1), generator=torch.Generator().manual_seed(0))
    within = ids[:, :WINDOW]
    torch.testing.assert_close(ours(within).logits, theirs(within).logits, atol=1e-4, rtol=1e-4)
    further = (ours(ids).logits[0, -1] - theirs(ids).logits[0, -1]).abs().max()
    assert further > 1e-3, "one token more, and the first is out of the last one's sight"
