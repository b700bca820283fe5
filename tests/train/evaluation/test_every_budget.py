"""Letters after every number of blocks, in one pass: those of a pass for each number."""

import pytest
import torch

from rim_edge.data.rows import Example
from rim_edge.evaluation.checkpoint_answers import letter_logits
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


def test_whether_a_letter_comes_first_is_of_all_tokens(model, encoder):
    letter, other = encoder.encode("H")[0], encoder.encode("Where")[0]
    head = model.get_output_embeddings()
    for row, expected in ((letter, True), (other, False)):
        with torch.no_grad():
            before = head.weight[row].clone()
            head.weight[row] *= 1e3
        try:
            read = letters_by_budget(model, encoder, ITEMS, range(1))[0]
        finally:
            with torch.no_grad():
                head.weight[row] = before
        assert expected in read.first.tolist()
