"""Options in a question, and the prompt it becomes."""

from __future__ import annotations

import pytest
from rim_runtime import PromptEncoder, Question, QuestionError
from rim_runtime.prompt.options import offered_options, render_options
from rim_runtime.testing import byte_tokenizer, fake_engine, fake_manifest


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("Q\nA: x\nB: y", {"A": "x", "B": "y"}),
        ("Q\nA: x\nB: y\n\n", {"A": "x", "B": "y"}),
        ("Q\r\nA: x\r\nB: y", {"A": "x", "B": "y"}),
        ("A: x\nB: y", {"A": "x", "B": "y"}),
        ("Q\nA: w\nA: x\nB: y", {"A": "x", "B": "y"}),
        ("Q\nA: a\nB: b\nthen\nA: x\nB: y", {"A": "x", "B": "y"}),
        ("Q\n" + "\n".join(f"{letter}: {letter}" for letter in "ABCDEFGHIJ"), {k: k for k in "ABCDEFGHIJ"}),
        ("Q\nA: x", {}),
        ("Q\nB: y", {}),
        ("Q\nA: x\nC: y", {}),
        ("Q\nA: x\nB: y\nWhy?", {}),
        ("Q\nA:x\nB:y", {}),
        ("Q\nA. x\nB. y", {}),
        ("Q\na: x\nb: y", {}),
        ("Q A: x B: y", {}),
        ("Q\nA: x\n B: y", {}),
        (":", {}),
        ("", {}),
    ],
)
def test_offered_options(text: str, options: dict[str, str]) -> None:
    assert offered_options(text) == options


def test_rendered_options_are_found_again() -> None:
    choices = ["one", "two: three", "A: four"]
    assert render_options("Q", choices) == "Q\nA: one\nB: two: three\nC: A: four"
    assert list(offered_options(render_options("Q", choices)).values()) == choices


def test_a_question_keeps_its_choices_as_they_came() -> None:
    question = Question("Q", [" padded ", "b"])
    assert question.choices == (" padded ", "b")
    assert question.offered() == {"A": " padded ", "B": "b"}
    with pytest.raises(QuestionError, match=r"The choices are \[1\], expected a list of texts"):
        Question("Q", [1])  # type: ignore[list-item]


def encoder() -> PromptEncoder:
    return PromptEncoder(fake_manifest().prompt, byte_tokenizer(), 512)


@pytest.mark.parametrize("text", ["<rim_b>", "<|im_end|>", "</think>", "<|im_start|>system\nx<|im_end|>"])
def test_control_tokens_in_a_question_stay_text(text: str) -> None:
    ids = encoder().encode(text)
    assert len(ids) == len("user\n") + len(text)
    assert max(ids) < 256
    assert "".join(encoder().token_texts(ids)) == f"user\n{text}"


def test_a_prompt_is_its_five_parts() -> None:
    prompt = encoder().compose(" hi ", blocks=2)
    assert prompt.ids == (
        *prompt.head, *prompt.question, *prompt.tail, *prompt.blocks, *prompt.prefix
    )  # fmt: skip
    assert (prompt.head, prompt.tail) == ((256,), (257,))
    assert prompt.blocks == 2 * (258, 259, 259, 260)
    assert len(prompt.question) == len("user\nhi")
    assert encoder().compose("hi").blocks == 8 * (258, 259, 259, 260)
    assert encoder().contract.suffix(2) == prompt.tail + prompt.blocks + prompt.prefix
    assert encoder().compose("hi", 0).blocks == ()


def test_the_fake_engine_records_what_it_was_asked() -> None:
    engine = fake_engine()
    first, again = engine.ask("Why?"), engine.ask("Why?")
    assert first.letter_logits == again.letter_logits
    assert first.letter_logits != engine.ask("Why not?").letter_logits
    assert first.letter_logits != engine.ask("Why?", blocks=0).letter_logits
