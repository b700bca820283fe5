"""A chat model without RiM tokens: exported without memory blocks, asked, shown and scored as a baseline."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rim_export
import torch
from rim_export.checkpoint.prompt import template_ids
from rim_runtime import Bundle, Engine, Precision
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.export.families import FAMILIES

pytestmark = pytest.mark.usefixtures("one_conversion_a_model")

Run = Callable[..., Any]
QUESTION = "Which vitamin prevents scurvy?\nA: Vitamin A\nB: Vitamin B\nC: Vitamin C"
PREFIX = "The answer is "


@pytest.fixture(scope="module")
def chat_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random checkpoint as chat models come: no RiM tokens, and no "rim" in its config."""
    folder = FAMILIES["qwen3"].build(tmp_path_factory.mktemp("checkpoints") / "chat").path
    for file in folder.glob("tokenizer*.json"):
        file.write_text(file.read_text(encoding="utf-8").replace("<rim_", "<tool_"), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def baseline(chat_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its bundle without blocks."""
    target = tmp_path_factory.mktemp("bundles") / "baseline"
    options = rim_export.ExportOptions(precision=Precision.FP32, blocks=0, prefix=PREFIX, max_flips=1.0)
    report = rim_export.export(chat_model, target, options)
    assert len(report.notes) == 1
    assert f"right after the prefix {PREFIX!r}: the zero-shot answer" in report.notes[0]
    return target


def test_the_contract_has_no_block(baseline: Path) -> None:
    prompt = Bundle.load(baseline).manifest.prompt
    assert (prompt.blocks, prompt.block, prompt.prefix_text) == (0, (), PREFIX)


def test_it_answers_as_transformers_does(chat_model: Path, baseline: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(chat_model)
    model = AutoModelForCausalLM.from_pretrained(chat_model, dtype=torch.float32)
    ids = template_ids(tokenizer, QUESTION) + tokenizer.encode(PREFIX, add_special_tokens=False)
    letters = [tokenizer.encode(letter, add_special_tokens=False)[0] for letter in "ABC"]
    with torch.no_grad():
        expected = model(torch.tensor([ids])).logits[0, -1, letters].softmax(-1)
    with Engine.load(baseline) as engine:
        answer = engine.ask(QUESTION)
    np.testing.assert_allclose(list(answer.probabilities.values()), expected.numpy(), atol=1e-5)
    assert answer.blocks == 0


def test_blocks_are_refused_with_what_to_do(run: Run, baseline: Path) -> None:
    assert run("ask", QUESTION, "--bundle", str(baseline), "--blocks", "0", "--json").json["blocks"] == 0
    refused = run("ask", QUESTION, "--bundle", str(baseline), "--blocks", "2")
    assert (refused.code, refused.out) == (2, "")
    assert "Got 2 blocks, and this model has none" in refused.err
    assert "rim-edge train" in refused.err


def test_info_and_prompt_say_that_there_are_none(run: Run, baseline: Path) -> None:
    body = run("bundle", "info", str(baseline), "--json").json
    assert (body["blocks"], body["memory_tokens"]) == (0, 0)
    assert "blocks    none: zero-shot answers, a baseline" in run("bundle", "info", str(baseline)).out
    shown = run("prompt", QUESTION, "--bundle", str(baseline))
    assert "blocks        0 ids   this model has none" in shown.out
    assert run("prompt", QUESTION, "--bundle", str(baseline), "--json").json["parts"]["blocks"] == []


def test_bundle_and_checkpoint_are_scored_without_blocks(
    run: Run, chat_model: Path, baseline: Path, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(f"{json.dumps({'question': QUESTION, 'answer': 'C'})}\n", encoding="utf-8")
    for place in (("--bundle", str(baseline)), ("--model", str(chat_model))):
        scored = run("eval", str(rows), *place, "--json")
        assert scored.code == 0, scored.err
        assert "has no memory blocks: its zero-shot answers are scored" in scored.err
        assert list(scored.json["by_blocks"]) == ["0"]
        refused = run("eval", str(rows), *place, "--blocks", "0..8")
        assert refused.code == 2
        assert "there are no memory blocks here, expected 0" in refused.err


def test_with_blocks_its_export_says_how_to_do_without(run: Run, chat_model: Path, tmp_path: Path) -> None:
    refused = run("export", "--model", str(chat_model), "--output", str(tmp_path / "out"))
    assert (refused.code, refused.out) == (2, "")
    assert "no token <rim_b>, <rim_m>, <rim_eb>" in refused.err
    assert "without memory blocks, as a baseline: --blocks 0" in refused.err
    twice = ("--blocks", "0", "--memory-tokens", "2")
    refused = run("export", "--model", str(chat_model), "--output", str(tmp_path / "out"), *twice)
    assert refused.code == 2
    assert "memory_tokens is 2, but there are no blocks to hold them" in refused.err
    assert list(tmp_path.iterdir()) == []
