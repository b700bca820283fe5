"""The demo's tokenizer: byte-complete, the same on every run, one token a room."""

import random

import pytest
from rim_export.contract import RimSettings, derive_contract, letter_ids, template_ids

from rim_edge.demo.puzzles import ROOMS, fresh_puzzles
from rim_edge.demo.tokenizer import ADDED_TOKENS, build_tokenizer


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


def test_a_room_in_a_fact_is_the_token_of_the_answer_letter(tokenizer):
    ids = letter_ids(tokenizer)
    for separator in (" ", "\n"):
        text = f"The door in B leads to E.{separator}The door in G leads to A."
        tokens = encode(tokenizer, text)
        assert [token for token in tokens if token in ids.values()] == [ids[x] for x in "BEGA"]
    assert encode(tokenizer, "ABBA Bee IJ") != [ids[x] for x in "ABBA"]


def test_a_fact_costs_five_tokens_and_the_prompt_is_short(tokenizer):
    assert len(encode(tokenizer, "The door in B leads to E. ")) == 5
    assert len(encode(tokenizer, fresh_puzzles(1, 1)[0].question)) <= 52


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
