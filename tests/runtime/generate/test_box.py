r"""An answer in `\boxed{` ends where that is closed; nothing else of a text changes."""

from __future__ import annotations

import dataclasses

import pytest
from rim_runtime import Ended, Engine, FakeDecoder
from rim_runtime.testing import byte_tokenizer, fake_manifest
from tokenizers import Tokenizer

from tests.runtime.generate.writers import merging_tokenizer, writing

BOX = r"The final answer is \boxed{"
BYTES, PAIRS = byte_tokenizer(), merging_tokenizer("}.", "}}")


def boxing(written: str, prefix: str = BOX, tokenizer: Tokenizer = BYTES) -> Engine:
    prompt = dataclasses.replace(fake_manifest().prompt, prefix_text=prefix)
    return writing(FakeDecoder(tokenizer.encode(written).ids), tokenizer, prompt=prompt)


@pytest.mark.parametrize("tokenizer", [BYTES, PAIRS], ids=["bytes", "pairs"])
@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("72}.", "72"),
        ("72}. And then {", "72"),
        (r"\frac{1}{2}} so", r"\frac{1}{2}"),
        (r"\text{one}}}.", r"\text{one}"),
        (r"\{1, 2\}} so", r"\{1, 2\}"),
        (r"1\\} so", r"1\\"),
        ("}.", ""),
        ("日本} so", "日本"),
    ],
)
def test_the_closing_brace_ends_the_text_and_is_left_out(written: str, text: str, tokenizer: Tokenizer) -> None:
    stream = boxing(written, tokenizer=tokenizer).generate("How many?")
    assert "".join(stream) == text
    assert (stream.result().text, stream.result().ended) == (text, Ended.ANSWER)
    for sample in boxing(written, tokenizer=tokenizer).sample("How many?", 3, blocks=2):
        assert (sample.text, sample.ended, sample.blocks) == (text, Ended.ANSWER, 2)


def test_any_number_of_blocks_has_the_box() -> None:
    for blocks in range(9):
        assert boxing("72} so").generate("How many?", blocks=blocks).result().ended is Ended.ANSWER


@pytest.mark.parametrize(
    ("written", "max_tokens", "stop", "text", "ended"),
    [
        (r"\frac{1}{2", None, (), r"\frac{1}{2", Ended.STOP_TOKEN),
        ("1234} so", 3, (), "123", Ended.LIMIT),
        ("123} so", 4, (), "123", Ended.ANSWER),
        ("12 so} so", None, " so", "12", Ended.STOP_TEXT),
        ("12} so", None, " so", "12", Ended.ANSWER),
        ("12 s} so", None, " so", "12 s", Ended.ANSWER),
        (r"\frac{1}{2} so", None, "}", r"\frac{1", Ended.STOP_TEXT),
    ],
)
def test_what_comes_first_ends_it(
    written: str, max_tokens: int | None, stop: str, text: str, ended: Ended
) -> None:
    found = boxing(written).generate("How many?", max_tokens=max_tokens, stop=stop).result()
    assert (found.text, found.ended) == (text, ended)


@pytest.mark.parametrize(
    ("prefix", "text"),
    [
        ("The answer is ", "7} {8}} so"),
        (r"{\bf Answer:} ", "7} {8}} so"),
        (r"Of the set \{", "7} {8}} so"),
        (r"\boxed{\text{", "7} {8}"),
        (r"} \boxed{", "7"),
    ],
)
def test_the_prefix_says_how_many_braces_are_open(prefix: str, text: str) -> None:
    assert boxing("7} {8}} so", prefix).generate("How many?").result().text == text


def test_a_model_without_blocks_has_no_box() -> None:
    prompt = dataclasses.replace(fake_manifest().prompt, prefix_text=BOX, blocks=0, block=())
    text = writing(FakeDecoder("a } b"), prompt=prompt).generate("How many?").result()
    assert (text.text, text.ended) == ("a } b", Ended.STOP_TOKEN)
