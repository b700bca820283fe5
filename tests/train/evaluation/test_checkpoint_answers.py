"""What a checkpoint is read to say, and whose memory it reads."""

import pytest
import torch
from rim_export.errors import CheckpointError
from transformers import DynamicCache

from rim_edge.data.canonical import canonical
from rim_edge.data.rows import Example
from rim_edge.evaluation.asking import partners
from rim_edge.evaluation.checkpoint_answers import (
    chains_read,
    letters_read,
    open_checkpoint,
    texts_read,
)
from rim_edge.evaluation.extraction import behind_prefix
from rim_edge.evaluation.items import Item, items_of
from rim_edge.evaluation.shuffled_blocks import shuffled_letters, shuffled_logits


def test_items_have_the_letters_they_are_answered_with():
    examples = [
        Example("Which?\nA: x\nB: y", (), "B"),
        Example("Which?\n(A) x\n(B) y\n(C) z", (), "B"),
        Example("Which?\n(A) x\n(C) z", (), "B"),
        Example("How many?\nA. Three apples.\nB. Four pears.", (), "7"),
        Example("Where?", (), "H"),
        Example("How many?", (), "1,000"),
    ]
    assert [(item.answer, item.letters) for item in items_of(examples)] == [
        ("B", "AB"),
        ("B", "ABC"),
        ("B", "ABCDEFGHIJ"),
        ("7", ""),
        ("H", "ABCDEFGHIJ"),
        ("1000", ""),
    ]


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("1,000", "1000"),
        (" 72.0 ", "72"),
        ("$5", "5"),
        ("0.50", "0.5"),
        ("Lisch  nodules\n", "Lisch nodules"),
        (r"\frac{1}{2}", "0.5"),
    ],
)
def test_answers_are_compared_in_one_form(text, plain):
    assert canonical(text) == plain
    assert behind_prefix(f"{text}}} and more", Item("How many?", plain, "")).answer == plain


@pytest.fixture(scope="module")
def model(tiny_model):
    return tiny_model(vocabulary=1051)


def test_letters_are_the_best_of_those_offered(model, encoder):
    items = items_of([Example("Which?\nA: x\nB: y", (), "B"), Example("Where am I now?", (), "H")])
    for blocks in (0, 2):
        read = letters_read(model, encoder, items, blocks)
        for item, letter in zip(items, read, strict=True):
            ids = (*encoder.prompt(item.question), *blocks * encoder.contract.block, *encoder.contract.prefix)
            with torch.no_grad():
                logits = model(torch.tensor([ids])).logits[0, -1]
            assert letter == max(item.letters, key=lambda name: logits[encoder.encode(name)[0]])


def test_open_answers_and_chains_are_what_generate_writes(model, encoder):
    items = items_of([Example("How many?", (), "12")])
    ids = (*encoder.prompt("How many?"), *2 * encoder.contract.block, *encoder.contract.prefix)
    written = model.generate(
        torch.tensor([ids]),
        attention_mask=torch.ones(1, len(ids), dtype=torch.int64),
        max_new_tokens=24,
        do_sample=False,
        eos_token_id=encoder.end_of_turn,
        pad_token_id=0,
    )[0, len(ids) :].tolist()
    if encoder.end_of_turn in written:
        written = written[: written.index(encoder.end_of_turn)]
    assert texts_read(model, encoder, items, 2) == [behind_prefix(encoder.decode(written), items[0]).answer]


def test_many_are_decoded_as_each_alone(model, encoder):
    """Of three lengths, some of them together."""
    items = items_of(
        [Example(f"How many {word}?", (), "12") for word in ("a", "b", "are we", "x", "are", "of us")]
    )
    together = texts_read(model, encoder, items, 1)
    assert together == [texts_read(model, encoder, [item], 1)[0] for item in items]
    assert len(set(together)) > 2


class Writer:
    """A model that writes given ids, one a call."""

    device = "cpu"

    def __init__(self, ids):
        self.ids = iter(ids)

    def __call__(self, *inputs, **options):
        logits = torch.zeros(1, 1, 1051)
        logits[0, 0, next(self.ids)] = 1.0
        return type("Out", (), {"logits": logits})


def test_a_chain_is_read_behind_the_prefix(encoder):
    contract, items = encoder.contract, items_of([Example("How many?", (), "4")])
    said = (*encoder.encode("2 and 2 }\n"), *contract.prefix, *encoder.encode("4"), *encoder.encode("}"))
    assert chains_read(Writer((*said, encoder.end_of_turn)), encoder, items, 99) == ["4"]
    assert chains_read(Writer(said), encoder, items, 3) == [""], "cut off before the answer"


def test_partners_are_others_and_everyone_is_one():
    for count in (2, 3, 50):
        found = partners(count, 1)
        assert sorted(found) == list(range(count))
        assert all(place != other for place, other in enumerate(found))
    assert partners(50, 1) != partners(50, 2)


def test_the_memory_of_the_question_itself_changes_nothing(model, encoder):
    questions = [encoder.prompt(text) for text in ("Why?", "Where am I, and how many are we now?")]
    logits = shuffled_logits(model, encoder, [(ids, ids) for ids in questions], 3)
    for ids, found in zip(questions, logits, strict=True):
        plain = torch.tensor([[*ids, *3 * encoder.contract.block, *encoder.contract.prefix]])
        with torch.no_grad():
            expected = model(plain).logits[0, -1]
        assert (found - expected).abs().max() <= 1e-4


def test_swapped_blocks_are_the_other_questions_keys_and_values(model, encoder):
    """By hand: the partner's run gives the blocks' keys and values, the prefix is read after both."""
    a, b = encoder.prompt("How many are we?"), encoder.prompt("Where are we now?")
    if len(a) != len(b):
        b = (*b, *b)[: len(a)]
    memory, prefix = 2 * encoder.contract.block, encoder.contract.prefix
    with torch.no_grad():
        own, other = DynamicCache(), DynamicCache()
        for ids, cache in (
            (a, own),
            (b, other),
        ):  # by place: its keyword has another name from transformers 5.24 on
            model(torch.tensor([[*ids, *memory]]), None, None, cache, use_cache=True)
        for mine, theirs in zip(own.layers, other.layers, strict=True):
            mine.keys[:, :, len(a) :] = theirs.keys[:, :, len(a) :]
            mine.values[:, :, len(a) :] = theirs.values[:, :, len(a) :]
        expected = model(torch.tensor([prefix]), None, None, own).logits[0, -1]
        plain = model(torch.tensor([[*a, *memory, *prefix]])).logits[0, -1]
    (found,) = shuffled_logits(model, encoder, [(a, b)], 2)
    assert (found - expected).abs().max() <= 1e-4
    assert (found - plain).abs().max() > 1e-2, "another memory must show"


def test_swapped_letters_come_from_the_swapped_logits(model, encoder):
    items = items_of([Example(f"Where {text}?", (), "H") for text in ("now", "then and there", "to")])
    read = shuffled_letters(model, encoder, items, [items[other] for other in (1, 2, 0)], 4)
    for place, other in enumerate((1, 2, 0)):
        pair = encoder.prompt(items[place].question), encoder.prompt(items[other].question)
        (logits,) = shuffled_logits(model, encoder, [pair], 4)
        assert read[place] == max(items[place].letters, key=lambda name: logits[encoder.encode(name)[0]])


def test_what_is_no_checkpoint_is_named(tmp_path):
    """By the exporter's own check; its tests list the forms (export/checkpoint/test_other_forms.py)."""
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "Qwen/Qwen3-1.7B"}')
    with pytest.raises(CheckpointError, match=r"LoRA adapter of Qwen/Qwen3-1\.7B"):
        open_checkpoint(tmp_path)
