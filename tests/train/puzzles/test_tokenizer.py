"""The demo's tokenizer: byte-complete, the same on every run, one token a room."""

import random

import pytest
from rim_export.checkpoint.prompt import RimSettings, derive_contract, letter_ids, template_ids
from rim_runtime.prompt.options import render_options

from rim_edge.puzzles import ordering, rooms
from rim_edge.puzzles.fresh import fresh_puzzles
from rim_edge.puzzles.rooms import ROOMS
from rim_edge.puzzles.tokenizer import ADDED_TOKENS, build_tokenizer


def encode(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False)


def test_two_builds_give_the_same_bytes(tokenizer, tmp_path):
    for name, built in (("first", tokenizer), ("second", build_tokenizer())):
        built.save_pretrained(tmp_path / name)
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("first", "second")
    )
    assert first == second


def test_every_text_survives_a_round_trip(tokenizer):
    rng = random.Random(1)
    texts = ["Ünïcode: 水 \U0001f600 I am é\r\n\t ", "".join(map(chr, range(1, 0x300)))]
    texts += ["".join(chr(rng.randrange(1, 0xD7FF)) for _ in range(40)) for _ in range(50)]
    import unicodedata

    for text in texts:
        assert tokenizer.decode(encode(tokenizer, text)) == unicodedata.normalize("NFC", text)


def test_a_room_alone_is_the_token_of_the_answer_letter(tokenizer):
    ids = letter_ids(tokenizer)
    tokens = encode(tokenizer, "You start in E and I leave (B).")
    assert [token for token in tokens if token in ids.values()] == [ids[x] for x in "EIB"]


@pytest.mark.parametrize("module", [rooms, ordering])
@pytest.mark.parametrize("separator", [" ", "\n", "\n\n"])
def test_every_fact_is_one_token_however_facts_are_separated(tokenizer, module, separator):
    one_by_one = [encode(tokenizer, fact) for fact in module.facts()]
    assert all(len(tokens) == 1 for tokens in one_by_one)
    together = encode(tokenizer, f".{separator}".join(module.facts()))
    assert [token for token in together if [token] in one_by_one] == [tokens[0] for tokens in one_by_one]


def test_a_move_is_a_name_and_one_token(tokenizer):
    text = "There are 3 apples in a basket. Ben puts in 2. Dora takes out 1."
    assert [tokenizer.decode([token]) for token in encode(tokenizer, text)][:5] == [
        "There are 3 apples", " in a basket", ". ", "Ben", " puts in 2",
    ]  # fmt: skip


def test_an_option_is_one_token_with_its_line_break(tokenizer):
    text = render_options("How many apples are there now?", ["3", "8", "Ben", "a pear"])
    tokens = [tokenizer.decode([token]) for token in encode(tokenizer, text)]
    assert tokens[:4] == ["How many apples are there now?", "\nA: 3", "\nB: 8", "\nC: Ben"]
    assert len(encode(tokenizer, "A: Ben")) > len(encode(tokenizer, "\nA: Ben")) == 1


def test_a_puzzle_costs_at_most_36_tokens(tokenizer):
    assert max(len(encode(tokenizer, puzzle.question)) for puzzle in fresh_puzzles(200, 1)) <= 36


def test_the_contract_is_derived_and_the_added_tokens_are_its_blocks(tokenizer):
    contract = derive_contract(tokenizer, RimSettings(blocks=4))
    assert tokenizer.convert_ids_to_tokens(list(contract.block)) == ["<rim_b>", "<rim_m>", "<rim_m>", "<rim_eb>"]
    assert set(ADDED_TOKENS) == set(tokenizer.get_added_vocab())
    assert set(letter_ids(tokenizer)) >= set(ROOMS)


@pytest.mark.parametrize("thinking", [True, False])
def test_the_template_honours_its_switches(tokenizer, thinking):
    turn = [{"role": "user", "content": "Why?"}]
    text = tokenizer.apply_chat_template(turn, tokenize=False, enable_thinking=thinking)
    assert text == "<|im_start|>user\nWhy?<|im_end|>\n"
    assert tokenizer.decode(template_ids(tokenizer, "Why?")) == f"{text}<|im_start|>assistant\n"
