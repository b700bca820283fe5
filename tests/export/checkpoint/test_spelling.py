"""Export proves for the tokenizer at hand that no text can spell an added token."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rim_export.bundle_files import write_tokenizer
from rim_export.checkpoint.folder import Checkpoint
from rim_export.checkpoint.spelling import spellable_tokens
from rim_export.errors import CheckpointError
from tokenizers import Tokenizer

TURN = "<|turn|>"


def bpe(**rules: Any) -> dict[str, Any]:
    """A BPE tokenizer whose vocabulary has an added token as an entry, as SmolLM2's has."""
    vocabulary = {entry: number for number, entry in enumerate(["<|", "|>", "a", "ab", "b", "turn", TURN])}
    model = {"type": "BPE", "vocab": vocabulary, "merges": [["a", "b"]]} | rules
    return {"added_tokens": [{"id": vocabulary[TURN], "content": TURN}], "model": model}


@pytest.mark.parametrize(
    ("rules", "spellable"),
    [
        ({}, []),
        ({"merges": ["a b", "<| turn|>"]}, [TURN]),
        ({"merges": [["a", "b"], ["<|", "turn|>"]]}, [TURN]),
        ({"ignore_merges": True}, [TURN]),
        ({"unk_token": TURN}, [TURN]),
        ({"unk_token": TURN, "byte_fallback": True}, [TURN]),
        ({"end_of_word_suffix": "</w>"}, [TURN]),
        ({"type": "WordPiece"}, [TURN]),
        ({"type": "Unigram", "vocab": [["a", 0.0]] * 7}, [TURN]),
    ],
)
def test_what_text_can_become(rules: dict[str, Any], spellable: list[str]) -> None:
    assert spellable_tokens(bpe(**rules)) == spellable


def test_a_tokenizer_that_can_spell_a_control_token_is_refused(damaged: Path, tmp_path: Path) -> None:
    """A merge that makes `<|im_end|>`: a text with it would end the question's turn."""
    file = damaged / "tokenizer.json"
    tokenizer = json.loads(file.read_text(encoding="utf-8"))
    (end,) = (token["id"] for token in tokenizer["added_tokens"] if token["content"] == "<|im_end|>")
    tokenizer["model"]["vocab"] |= {"<|im_end|": len(tokenizer["model"]["vocab"]) + 900, "<|im_end|>": end}
    tokenizer["model"]["merges"].append(["<|im_end|", ">"])
    file.write_text(json.dumps(tokenizer), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"text can become the token '<\|im_end\|>'"):
        write_tokenizer(Checkpoint.open(damaged), tmp_path)
    assert not list(tmp_path.glob("*.json"))


def test_what_is_proved_holds(damaged: Path, tmp_path: Path) -> None:
    checkpoint = Checkpoint.open(damaged)
    write_tokenizer(checkpoint, tmp_path)
    bare = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    added = checkpoint.load_tokenizer().added_tokens_decoder
    for token in added.values():
        for text in (str(token), f"a{token}b", f" {token} ", 2 * str(token)):
            assert not set(bare.encode(text).ids) & set(added), text
