"""Rows: every public form is read as the question it is, and what is not clear is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rim_runtime.errors import RowError
from rim_runtime.question import Question
from rim_runtime.rows.answers import Counting
from rim_runtime.rows.files import read_rows
from rim_runtime.rows.row import read_row

from tests.public_forms import FORMS, MEDMCQA, ORGANS, RENDERED


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_question(form: str) -> None:
    row = read_row(FORMS[form])
    assert row.question.rendered() == RENDERED
    assert list(row.question.offered()) == list("ABCD")
    assert row.answer() == "C"
    assert row.ignored == ()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ([1], "found list, expected an object with 'question'"),
        (
            {"query": "Which?", "options": ORGANS},
            "'question' is None, expected some text. The row has: query, opt",
        ),
        ({"question": " "}, "'question' is ' '"),
        ({"question": "Which?", "Question": "Which?"}, "there are 'question' and 'Question'"),
        ({"question": "Which?", "options": ORGANS, "choices": ORGANS}, "options in 'options' and in 'choices'"),
        ({**MEDMCQA, "options": ORGANS}, "options in 'options' and in 'opa', …"),
        ({"question": "Which?", "options": {"A": "x", "C": "y"}}, "expected A, B, C, … in order"),
        ({"question": "Which?", "options": {"B": "x", "A": "y"}}, "expected A, B, C, … in order"),
        ({"question": "Which?", "B": "x", "C": "y"}, "expected A, B, C, … in order"),
        ({"question": "Which?", "A": "x", "B": None, "C": "y"}, "expected a list of texts"),
        ({"question": "Which?", "options": ["x", 3]}, "expected a list of texts"),
        ({"question": "Which?", "options": "x, y"}, "expected a list of texts"),
        ({"question": "Which?", "options": ["x"]}, "choices is 1, expected 2 to 10"),
        ({"question": "Which?", "options": [str(n) for n in range(11)]}, "choices is 11, expected 2 to 10"),
        ({"question": "Which?", **{c: c for c in "ABCDEFGHIJK"}}, "choices is 11, expected 2 to 10"),
        ({"question": "Which?", "choices": {"text": ORGANS[:3], "label": list("ABCD")}}, "3 texts and 4 labels"),
        ({"question": "Which?", "option": ORGANS}, "the key 'option', expected 'options'. Rename it"),
        ({"QUESTION": "Which?"}, "the key 'QUESTION', expected 'question'"),
        ({"question": "Why\ud800?", "options": ORGANS}, r"half a character, '\ud800', stands in 'Why\ud800?"),
        (
            {"question": "Which?", "options": ORGANS, "letters": "ABCDEFGHIJ"},
            "'letters' is 'ABCDEFGHIJ', expected",
        ),
        ({"question": "Which?", "letters": "AB"}, "'letters' is 'AB', expected ABCDEFGHIJ"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(row: Any, reason: str) -> None:
    with pytest.raises(RowError) as refused:
        read_row(row)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (FORMS["MedQA"] | {"answer_idx": "B"}, "'answer' is 'Heart' and 'answer_idx' is 'B', expected the same"),
        (FORMS["MMLU-Pro"] | {"answer_index": 1}, "'answer' is 'C' and 'answer_index' is 1, expected the same"),
        (FORMS["MMLU"] | {"answer": 4}, "'answer' is 4 of 4 options counted from 0, expected one of the letters"),
        (FORMS["MMLU"] | {"answer": -1}, "'answer' is -1 of 4 options"),
        (FORMS["MMLU"] | {"answer": True}, "'answer' is True, expected one letter or text"),
        (FORMS["MMLU"] | {"answer": 2.0}, "'answer' is 2.0, expected one letter or text"),
        (FORMS["ARC"] | {"answerKey": "E"}, "'answerKey' is 'E', expected one of the offered letters A, B, C, D"),
        (FORMS["ARC, digits"] | {"answerKey": "A"}, "expected one of the offered letters 1, 2, 3, 4"),
        (FORMS["AQuA"] | {"correct": "F"}, "'correct' is 'F', expected one of the offered letters"),
        (FORMS["ours, a list"] | {"answer": "Kidney"}, "'answer' is 'Kidney', expected one of"),
        (FORMS["ours, a list"] | {"answer": "AB"}, "'answer' is 'AB', expected one of"),
        (FORMS["ours, a list"] | {"answer": ["C"]}, "'answer' is ['C'], expected one letter or text"),
        (FORMS["ours, a list"] | {"answer": 2}, "whether it counts from 0 or from 1 shows neither here nor"),
        ({"question": "Q", "options": ["x", "x"], "answer": "x"}, "2 options have this text"),
        ({"question": "Q", "options": ["O", "A", "B"], "answer": "A"}, "a letter and the text of another option"),
        (
            {"question": "Q", "answer": "C"},
            "'answer' is 'C' and the row has no options, expected them in 'options'",
        ),
        ({"question": "Q", "correct": "x"}, "the row has no options"),
        ({"question": "Q", "cop": 2}, "the row has no options to number"),
        ({"question": "Q", "answer": 72}, "'answer' is 72, expected some text"),
        ({"question": RENDERED, "answer": "E"}, "the question's text ends in options, expected one of A, B, C, D"),
        ({"question": "Which?\nA. x\nC. y", "answer": "A"}, "which letters it offers is not clear: found A, C"),
        ({**MEDMCQA, "cop": 5}, "'cop' is 5 of 4 options counted from 0 or 1"),
        ({**MEDMCQA, "cop": 2}, "whether it counts from 0 or from 1 shows neither here nor elsewhere in the file"),
    ],
)
def test_an_answer_that_contradicts_or_means_nothing_is_refused_but_the_row_may_be_asked(
    row: dict[str, Any], reason: str
) -> None:
    read = read_row(row)
    assert read.question.rendered()
    with pytest.raises(RowError) as refused:
        read.answer()
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    "row",
    [
        {"question": "Which?", "options": ORGANS},
        {"question": "Which?", "options": ORGANS, "answer": None},
        FORMS["ARC"] | {"answerKey": ""},
        {**MEDMCQA, "cop": -1},
        {"question": "Why?"},
    ],
)
def test_a_row_without_an_answer_has_none(row: dict[str, Any]) -> None:
    assert read_row(row).answer() is None


def test_open_answers_stay_text_and_letters_without_options_are_said_to_be_meant() -> None:
    assert read_row({"question": "Why?", "answer": " because "}).answer() == "because"
    assert read_row({"question": "Q\nA said x\nB: y", "answer": "5"}).answer() == "5"
    assert read_row({"question": "Which room?", "answer": "C", "letters": "ABCDEFGHIJ"}).answer() == "C"


DIALOGUE = "What comes next?\nA: I have had chest pain since Monday.\nB: Does it get worse when you breathe?"


@pytest.mark.parametrize(
    "none", [{"choices": []}, {"options": []}, {"options": {}}, {"options": None, "choices": []}]
)
def test_a_row_may_say_that_it_has_no_options(none: dict[str, Any]) -> None:
    row = read_row({"question": DIALOGUE, "answer": "Yes, it does.", **none})
    assert row.question == Question(DIALOGUE, ())
    assert row.question.offered() == {}
    assert row.answer() == "Yes, it does."
    with pytest.raises(RowError, match=r"'answer' is 'B' and the row has no options"):
        read_row({"question": DIALOGUE, "answer": "B", **none}).answer()
    assert read_row({"question": DIALOGUE, "answer": "C", "letters": "ABCDEFGHIJ", **none}).answer() == "C"


def test_a_row_that_says_nothing_of_options_may_have_them_in_its_text() -> None:
    row = read_row({"question": DIALOGUE, "choices": None, "options": None, "answer": "B"})
    assert (row.question.choices, row.answer()) == (None, "B")
    columns = read_row({"question": "Which?", "choices": [], "A": "this", "B": "that", "answer": "B"})
    assert (columns.question.choices, columns.answer()) == (("this", "that"), "B")


def test_keys_that_nobody_reads_are_named_and_those_of_known_forms_are_not() -> None:
    row = FORMS["MMLU"] | {"passage": "A liver …", "page": 3, "difficulty": "hard", "nothing": None}
    assert read_row(row).ignored == ("passage", "page")
    assert read_row(FORMS["ours, a list"] | {"correct": True}).ignored == ("correct",)


def numbered(path: Path, *numbers: int) -> list[str | None]:
    path.write_text("".join(json.dumps({**MEDMCQA, "cop": number}) + "\n" for number in numbers))
    return [answer for _, answer in read_rows(path)]


def test_a_file_shows_where_its_numbers_count_from(tmp_path: Path) -> None:
    """MedMCQA counts from 1 in its own release and from 0 on the hub, with the same keys."""
    assert numbered(tmp_path / "hub.jsonl", 2, 0, 3) == ["C", "A", "D"]
    assert numbered(tmp_path / "own.jsonl", 2, 1, 4) == ["B", "A", "D"]
    with pytest.raises(
        RowError, match=r"unclear.jsonl, line 1: 'cop' is 2, and whether it counts from 0 or from 1"
    ):
        numbered(tmp_path / "unclear.jsonl", 2, 1, 3)
    with pytest.raises(RowError, match=r"both.jsonl: its answers are numbers, and one is 0 and one is 4 of 4"):
        numbered(tmp_path / "both.jsonl", 2, 0, 4)
    assert read_row({**MEDMCQA, "cop": 2}).answer(Counting.FROM_1) == "B"


def test_a_file_that_counts_otherwise_than_its_form_is_refused_as_a_whole(tmp_path: Path) -> None:
    """Else the rows within range would be scored one option too far, and only the last ones be refused."""
    path = tmp_path / "mmlu.jsonl"
    path.write_text("".join(json.dumps(FORMS["MMLU"] | {"answer": number}) + "\n" for number in (1, 4, 2)))
    with pytest.raises(RowError, match=r"mmlu.jsonl: its answers are numbers, and one is 4 of 4 .* and none is 0"):
        read_rows(path)
