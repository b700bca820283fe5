"""Options in a question, and the prompt it becomes."""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from rim_runtime import PromptEncoder, Question, QuestionError
from rim_runtime.prompt.options import offered_options, read_options, render_options
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


OTHER_FORMS = {
    "full stops": "Q\nA. x\nB. y",
    "brackets": "Q\nA) x\nB) y",
    "in brackets": "Q\n(A) x\n(B) y",
    "square brackets": "Q\n[A] x\n[B] y",
    "small letters": "Q\na: x\nb: y",
    "no space": "Q\nA:x\nB:y",
    "indented": "Q\n  A: x\n  B: y",
    "bold": "Q\n**A.** x\n**B.** y",
    "a list": "Q\n- A. x\n- B. y",
    "dashes": "Q\nA - x\nB - y",
    "wide signs": "Q\nA：x\nB：y",
    "mixed": "Q\nA: x\nb) y",
    "empty lines between": "Q\n\nA: x\n\nB: y\n",
    "Windows": "Q\r\nA. x\r\n\r\nB. y\r\n",
    "on the question's line": "Which? A: x B: y",
    "on a line": "Q\nA) x, B) y",
    "on a line, in brackets": "Which? (a) x (b) y",
    "on a line, full stops": "Which? A. x B. y",
}


@pytest.mark.parametrize("text", OTHER_FORMS.values(), ids=OTHER_FORMS)
def test_usual_forms_of_options_are_read_and_stay_as_they_are(text: str) -> None:
    assert read_options(text) == {"A": "x", "B": "y"}
    assert Question(text).rendered() == text.strip()
    answer = fake_engine().ask(text)
    assert answer.choice in ("x", "y")
    assert set(answer.probabilities) == {"A", "B"}


def test_a_wrapped_option_is_one_option() -> None:
    assert read_options("Q\nA. long\n   and longer\nB. short") == {"A": "long and longer", "B": "short"}


UNCLEAR = {
    "a gap": ("Q\nA: x\nC: y", "found A, C, expected A, B, C"),
    "a letter twice": ("Q\nA) x\nB) y\nB) z", "found A, B, B, expected"),
    "eleven": ("Q\n" + "\n".join(f"{k}: {k}" for k in "ABCDEFGHIJK"), "J, K, expected at most 10, A to J"),
    "a line after them": ("Q\nA. x\nB. y\nAnswer:", "and then the line 'Answer:', expected nothing after"),
    "no first": ("Which? A. x\nB. y\nC. z", "found B, C, without a line A"),
    "two columns": ("Q\nA) x  C) z\nB) y  D) w", "found A, B, at the starts of lines and C inside one"),
}


@pytest.mark.parametrize(("text", "found"), UNCLEAR.values(), ids=UNCLEAR)
def test_unclear_options_are_never_answered_over_all_letters(text: str, found: str) -> None:
    with pytest.raises(QuestionError, match="which letters it offers is not clear") as caught:
        fake_engine().ask(text)
    assert found in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "Why?", "Q\nA: x", "Q\nB: y", "Q: one?\nA: two\nQ: three?", "D: Hello.\nP: It hurts.\nD: Where?",
        "Take vitamin A. Then take vitamin B. And rest.", "E. coli\nS. aureus", "I. one\nV. five",
        "A: hello\nB: hello\nA: it hurts\nB: where?\nWhat is it?",
    ],
)  # fmt: skip
def test_texts_without_options(text: str) -> None:
    assert read_options(text) == {}


DIALOGUE = "What is it?\nA: I have had chest pain since Monday.\nB: Does it get worse when you breathe?"


def test_a_list_of_choices_is_what_counts_whatever_the_text_ends_in() -> None:
    question = Question(DIALOGUE, ["Pericarditis", "Angina", "Pleurisy"])
    assert question.rendered() == f"{DIALOGUE}\nA: Pericarditis\nB: Angina\nC: Pleurisy"
    assert list(question.offered().values()) == ["Pericarditis", "Angina", "Pleurisy"]
    assert fake_engine().ask(DIALOGUE, question.choices).choice in question.choices


@pytest.mark.parametrize("text", ["Q\nA: x\nB: y", "Q\nA. x\nB. y", "Q\n(a) X\n(b) Y", "Q A: x B: y"])
def test_options_that_come_twice_are_refused(text: str) -> None:
    with pytest.raises(QuestionError, match=r"already ends in the options A, B.*'x' of them again"):
        Question(text, ["x", "y", "z"]).rendered()


def test_rendered_options_are_found_again() -> None:
    choices = ["one", "two: three", "A: four"]
    assert render_options("Q", choices) == "Q\nA: one\nB: two: three\nC: A: four"
    assert list(offered_options(render_options("Q", choices)).values()) == choices


def test_a_question_keeps_its_choices_as_they_came() -> None:
    question = Question("Q", [" padded ", "b"])
    assert question.choices == (" padded ", "b")
    assert question.offered() == {"A": " padded ", "B": "b"}


@pytest.mark.parametrize(
    "given",
    [
        {"A": "x", "B": "y"},
        MappingProxyType({"A": "x", "B": "y"}),
        (text for text in "xy"),
        {"A": "x", "B": "y"}.values(),
        np.array(["x", "y"]),
        ["x", "y"],
    ],
    ids=["dict", "mapping", "generator", "values", "array", "list"],
)
def test_choices_may_come_as_any_iterable_of_texts(given: Any) -> None:
    engine = fake_engine()
    assert list(engine.ask("Q", given).probabilities) == ["A", "B"]
    assert engine.ask("Q", ["x", "y"]).choice in ("x", "y")


def test_a_generator_is_read_once() -> None:
    question = Question("Q", (text for text in ("x", "y")))  # type: ignore[arg-type]
    assert (question.choices, question.rendered()) == (("x", "y"), "Q\nA: x\nB: y")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"B": "y", "A": "x"}, r"The choices have the keys \['B', 'A'\], expected A, B, C, … in order"),
        ({"a": "x", "b": "y"}, "expected A, B, C, … in order"),
        ({1: "x", 2: "y"}, "expected A, B, C, … in order"),
        ({"A": "x", "B": 2}, "expected a list of texts"),
        ([1], r"The choices are \[1\], expected a list of texts"),
        ((number for number in (1, 2)), r"The choices are \(1, 2\), expected a list of texts"),
        ("abc", "The choices are 'abc', expected a list of texts"),
        (b"abc", "The choices are b'abc', expected"),
        (7, "The choices are 7, expected a list of texts"),
        ({"x"}, "expected a list of texts. Give one text a choice, in order"),
    ],
)
def test_other_choices_are_refused_in_words(given: Any, message: str) -> None:
    with pytest.raises(QuestionError, match=message):
        fake_engine().ask("Q", given)


@pytest.mark.parametrize("blocks", [np.int64(2), np.uint8(2), 2])
def test_any_whole_number_of_blocks_is_one(blocks: Any) -> None:
    answer = fake_engine().ask("Q", blocks=blocks)
    assert answer.letter_logits == fake_engine().ask("Q", blocks=2).letter_logits
    assert type(answer.blocks) is int
    assert encoder().compose("hi", blocks).ids == encoder().compose("hi", 2).ids
    assert encoder().contract.suffix(blocks) == encoder().contract.suffix(2)


@pytest.mark.parametrize("blocks", [True, np.True_, 2.0, "2", np.int64(9)])
def test_anything_else_is_no_number_of_blocks(blocks: Any) -> None:
    with pytest.raises(QuestionError, match="0 to 8"):
        fake_engine().ask("Q", blocks=blocks)


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


UNREAD = [
    "Which?\n1. x\n2. y", "Which?\n1) x\n2) y\n3) z", "Which?\n(1) x\n(2) y", "Which?\n0: x\n1: y",
    "Which?\n① x\n② y", "Which?\ni. x\nii. y\niii. z", "Which?\nI) x\nII) y", "Which?\nOption A: x\nOption B: y",
    "Which?\nChoice 1 - x\nChoice 2 - y", "Which?\nA- x\nB- y", "Which?\nA/ x\nB/ y", "Which?\nA> x\nB> y",
    "Which?\nA, x\nB, y", "Which?\nA; x\nB; y", "Which?\n| A | x |\n| B | y |", "Which?\n<A> x\n<B> y",
    'Which?\n"A": x\n"B": y', "Which?\nA = x\nB = y", "Which?\nA x\nB y\nC z", "Which?\nA\tx\nB\ty",
    "Which?\nA\nLiver\nB\nHeart", "Which?\n### A: x\n### B: y", "Which?\n[ ] A: x\n[ ] B: y", "Which?\nА) x\nБ) y",
    "Which?\nА: x\nВ: y", "Which?\nα) x\nβ) y", "Which?\n甲、x\n乙、y", "Which?\n- x\n- y\n- z",
    "Which?\n• x\n• y", "Which? 1) x 2) y 3) z", "Which? A.x B.y C.z", "Which one a) x b) y",
]  # fmt: skip


@pytest.mark.parametrize("text", UNREAD)
def test_a_list_in_a_form_that_is_not_read_is_refused_not_answered_over_ten_letters(text: str) -> None:
    with pytest.raises(
        QuestionError, match=r"seems to end in options, marked .*, and they are not read like that"
    ):
        fake_engine().ask(text)
    assert fake_engine().ask(text, ["Liver", "Heart"]).choice in ("Liver", "Heart")


@pytest.mark.parametrize(
    "text",
    [
        "A man has:\n1. fever\n2. cough\nWhat is it?", "Doses:\n1 tablet\n2 tablets", "Values:\n1.5 mg\n2.5 mg",
        "The patient: 1) fever 2) cough. Diagnosis?", "A man coughs.\nI saw him.", "Labs:\n- Na 140\n- K 4",
        "What is f(a) + f(b)?",
        "What is (x - a)(x - b) + (x - a)(x - c)?",
        "Of (group A) some and of (group B) others?", "Hepatitis A or hepatitis B?",
        "On day 1: fever. On day 2: cough.",
    ],
)  # fmt: skip
def test_texts_that_only_hold_lists_are_asked(text: str) -> None:
    assert read_options(text) == {}


@pytest.mark.parametrize(
    "text", ["Q\nＡ：x\nＢ：y", "Q\n（Ａ）x\n（Ｂ）y", "Q\nＡ． x\nＢ． y", "Q\r\n\tA:\tx\r\n\tB:\ty\r\n"]
)
def test_full_width_signs_tabs_and_other_line_ends_are_read(text: str) -> None:
    assert read_options(text) == {"A": "x", "B": "y"}


def test_texts_of_other_libraries_become_plain_texts() -> None:
    class Organ(str, Enum):  # noqa: UP042 (its str() is its name)
        LIVER = "Liver"
        HEART = "Heart"

    for choices in (np.array(["Liver", "Heart"]), [np.str_("Liver"), np.str_("Heart")], Organ):
        question = Question("Which?", choices)
        assert question.rendered() == "Which?\nA: Liver\nB: Heart"
        assert {type(choice) for choice in question.choices} == {str}
