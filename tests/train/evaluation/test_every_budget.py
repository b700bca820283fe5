"""Letters after every number of blocks, in one pass: those of a pass for each number."""

import pytest
import torch
from transformers import MistralConfig, MistralForCausalLM

from rim_edge.data.rows import Example
from rim_edge.evaluation.checkpoint_answers import letter_ids, letter_logits, readout_prompt
from rim_edge.evaluation.items import items_of
from rim_edge.evaluation.readers import every_budget
from rim_edge.evaluation.readers.every_budget import letters_by_budget

ITEMS = items_of([Example(f"Where {text}?", (), "H") for text in ("now", "then and there, or when", "to", "am I")])


@pytest.fixture(scope="module")
def model(tiny_model):
    return tiny_model(vocabulary=1051)


@pytest.mark.parametrize("budgets", [range(4), range(1), range(2, 4), range(3, 4)])
def test_each_budget_is_as_in_a_pass_of_its_own(model, encoder, budgets, monkeypatch):
    """In rows of several lengths, and in passes that hold not all of them."""
    monkeypatch.setattr(every_budget, "_PREFIXES", 3 * len(budgets))
    found = letters_by_budget(model, encoder, ITEMS, budgets)
    assert list(found) == list(budgets)
    for blocks, read in found.items():
        expected = letter_logits(model, encoder, ITEMS, blocks)
        assert (read.logits - expected.logits).abs().max() <= 1e-5
        assert read.first.equal(expected.first)
    if len(found) > 1:
        some, other = list(found.values())[:2]
        assert (some.logits - other.logits).abs().max() > 1e-2, "blocks must show"


@pytest.mark.parametrize("favoured", ["H", "Z"])
def test_whether_a_letter_comes_first_is_of_all_tokens(model, encoder, favoured):
    """One token is made likelier than the one that is the likeliest for the first question."""
    letters, row = letter_ids(encoder), encoder.encode(favoured)[0]
    head = model.get_output_embeddings()
    before = head.weight[row].detach().clone()
    prompts = [readout_prompt(encoder, item.question, 2) for item in ITEMS]
    with torch.no_grad():
        head.weight[row] = 3 * head.weight[model(torch.tensor([prompts[0]])).logits[0, -1].argmax()]
        read = letters_by_budget(model, encoder, ITEMS, range(3))
        best = [model(torch.tensor([ids])).logits[0, -1].argmax() for ids in prompts]
        head.weight[row] = before
    assert row in best, "else this shows nothing"
    assert read[2].first.tolist() == [token in letters for token in best]


def test_a_sliding_window_is_kept(encoder):
    """The masked pass and the ordinary one agree on a model that sees few tokens back."""
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=1051,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=48,
        sliding_window=9,
        initializer_range=0.3,
        attn_implementation="sdpa",
    )
    model = MistralForCausalLM(config).eval()
    found = letters_by_budget(model, encoder, ITEMS, range(3))
    for blocks, read in found.items():
        expected = letter_logits(model, encoder, ITEMS, blocks)
        assert (read.logits - expected.logits).abs().max() <= 1e-5
    model.config.sliding_window = None
    assert (letter_logits(model, encoder, ITEMS, 2).logits - found[2].logits).abs().max() > 1e-3, "it must show"
