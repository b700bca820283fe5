"""What the encoder refuses: tokenizers that would cut or fail, and texts too long to be encoded at all."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from rim_runtime.errors import BundleCorruptError, QuestionTooLongError
from rim_runtime.prompt.encoder import PromptEncoder
from rim_runtime.testing import byte_tokenizer, fake_manifest

MANIFEST = fake_manifest()


def load(folder: Path, **changes: Any) -> PromptEncoder:
    """Return the encoder of the byte tokenizer with some of its JSON changed."""
    file = folder / "tokenizer.json"
    file.write_text(json.dumps(json.loads(byte_tokenizer().to_str()) | changes))
    return PromptEncoder.load(MANIFEST.prompt, file, MANIFEST.limits.question_tokens)


CUTS = {"direction": "Right", "max_length": 150, "strategy": "LongestFirst", "stride": 0}
PADS = {
    "strategy": {"Fixed": 40}, "direction": "Right", "pad_to_multiple_of": None,
    "pad_id": 0, "pad_type_id": 0, "pad_token": "!",
}  # fmt: skip


@pytest.mark.parametrize("changes", [{"truncation": CUTS}, {"padding": PADS}])
def test_a_tokenizer_may_neither_cut_nor_pad(changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(BundleCorruptError, match="cuts or pads what it encodes, expected neither"):
        load(tmp_path, **changes)


def test_a_tokenizer_that_panics_is_an_error_of_ours(tmp_path: Path) -> None:
    """tokenizers' panics are no Exception: nobody's `except Exception` would catch them."""
    nothing = {"type": "Replace", "pattern": {"String": ""}, "content": "x"}
    encoder = load(tmp_path, normalizer=nothing)
    with pytest.raises(BundleCorruptError, match="The bundle's tokenizer fails on this question"):
        encoder.encode("Which one?")


def test_a_huge_question_is_refused_at_once(tmp_path: Path) -> None:
    encoder = load(tmp_path)
    started = time.process_time()
    with pytest.raises(QuestionTooLongError, match=r"[\d,]+ tokens or more, this bundle takes at most 512"):
        encoder.encode("x" * 30_000_000)
    assert time.process_time() - started < 5  # encoded, it takes minutes


def test_a_text_that_might_fit_is_counted_exactly(tmp_path: Path) -> None:
    with pytest.raises(QuestionTooLongError, match=r"has 1,005 tokens, this bundle"):
        load(tmp_path).encode("x" * 1_000)
