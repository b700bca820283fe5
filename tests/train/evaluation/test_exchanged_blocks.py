"""What each block is worth: one or some of them exchanged for another question's."""

import pytest
import torch
from transformers import DynamicCache

from rim_edge.data.rows import Example
from rim_edge.evaluation.exchanged_blocks import exchanged_letters, exchanged_logits
from rim_edge.evaluation.items import items_of
from rim_edge.evaluation.shuffled_blocks import shuffled_logits

BLOCKS = 3
EACH = [{1}, {2}, {3}]
SHORT, LONG = "Why?", "Where am I, and how many are we now?"


@pytest.fixture(scope="module")
def model(tiny_model):
    return tiny_model(vocabulary=1051)


@torch.no_grad()
def plain_logits(model, encoder, ids):
    return model(torch.tensor([[*ids, *BLOCKS * encoder.contract.block, *encoder.contract.prefix]])).logits[0, -1]


def test_the_blocks_of_the_question_itself_change_nothing(model, encoder):
    """In rows of two lengths, so that one is padded."""
    questions = [encoder.prompt(text) for text in (SHORT, LONG)]
    found = exchanged_logits(model, encoder, [(ids, ids) for ids in questions], BLOCKS, [*EACH, {1, 2, 3}])
    for ids, logits in zip(questions, found, strict=True):
        assert (logits - plain_logits(model, encoder, ids)).abs().max() <= 1e-5


def test_all_blocks_exchanged_are_the_shuffled_blocks_and_none_the_ordinary_pass(model, encoder):
    a, b = encoder.prompt(SHORT), encoder.prompt(LONG)
    pairs = [(a, b), (b, a)]
    found = exchanged_logits(model, encoder, pairs, BLOCKS, [{1, 2, 3}, ()])
    assert (found[:, 0] - shuffled_logits(model, encoder, pairs, BLOCKS)).abs().max() <= 1e-5
    for (ids, _), logits in zip(pairs, found[:, 1], strict=True):
        assert (logits - plain_logits(model, encoder, ids)).abs().max() <= 1e-4, "positions are moved"


def test_one_block_is_the_others_keys_and_values_and_later_ones_keep_theirs(model, encoder):
    """By hand: both runs are cached, and one block's keys and values are copied."""
    a, b = encoder.prompt("How many are we?"), encoder.prompt("Where are we now?")
    if len(a) != len(b):
        b = (*b, *b)[: len(a)]
    size = len(encoder.contract.block)
    found = exchanged_logits(model, encoder, [(a, b)], BLOCKS, EACH)[0]
    for block, logits in enumerate(found):
        at = slice(len(a) + block * size, len(a) + (block + 1) * size)
        own, other = cached(model, encoder, a), cached(model, encoder, b)
        for mine, theirs in zip(own.layers, other.layers, strict=True):
            mine.keys[:, :, at] = theirs.keys[:, :, at]
            mine.values[:, :, at] = theirs.values[:, :, at]
        with torch.no_grad():
            expected = model(torch.tensor([encoder.contract.prefix]), None, None, own).logits[0, -1]
        assert (logits - expected).abs().max() <= 1e-4
        assert (logits - plain_logits(model, encoder, a)).abs().max() > 1e-2, "another block must show"


@torch.no_grad()
def cached(model, encoder, ids):
    """Return the keys and values of a question and its blocks."""
    cache = DynamicCache()
    # by place: its keyword has another name from transformers 5.24 on
    model(torch.tensor([[*ids, *BLOCKS * encoder.contract.block]]), None, None, cache, use_cache=True)
    return cache


def test_letters_come_from_these_logits_whatever_is_read_together(model, encoder, monkeypatch):
    items = items_of([Example(f"Where {text}?", (), "H") for text in ("now", "then and there", "to")])
    others = [items[other] for other in (1, 2, 0)]
    read = exchanged_letters(model, encoder, items, others, BLOCKS)
    for item, other, letters in zip(items, others, read, strict=True):
        pair = encoder.prompt(item.question), encoder.prompt(other.question)
        (found,) = exchanged_logits(model, encoder, [pair], BLOCKS, EACH)
        best = [max(item.letters, key=lambda name: logits[encoder.encode(name)[0]]) for logits in found]
        assert letters == dict(zip((1, 2, 3), best, strict=True))
    monkeypatch.setattr("rim_edge.evaluation.exchanged_blocks._PREFIXES", 4)
    assert exchanged_letters(model, encoder, items, others, BLOCKS) == read, "one row a pass"
