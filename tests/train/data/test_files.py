"""Files of training data: what is read, and what is refused with file, line and reason."""

import gzip
import json
import re
from pathlib import Path

import pytest

from rim_edge.data.files import read_file
from rim_edge.data.rows import Example
from rim_edge.errors import CurriculumError, DataError
from rim_edge.recipe.inputs import BadRows, DataFile, StepForm, parse_data_option
from tests.places import SHARED
from tests.public_forms import FORMS, RENDERED

DATA = SHARED
GOOD = {"question": "Why?", "steps": ["a", "b"], "answer": "4"}


def written(path, *rows):
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def examples(path, **options):
    return list(read_file(DataFile(path, **options)).examples)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_rows_become_examples(tmp_path, name):
    rows = (GOOD, "", {"id": 7, "question": "Which?", "options": ["x", "y"], "answer": "A", "subject": "s"})
    assert examples(written(tmp_path / name, *rows)) == [
        Example("Why?", ("a", "b"), "4"),
        Example("Which?\nA: x\nB: y", (), "A", subject="s"),
    ]


def test_options_may_be_an_object(tmp_path):
    row = {"question": "Which?", "options": {"A": "x", "B": "y"}, "answer": "A"}
    assert examples(written(tmp_path / "rows.jsonl", row))[0].question == "Which?\nA: x\nB: y"


def test_every_public_form_is_the_same_example(tmp_path):
    read = read_file(DataFile(written(tmp_path / "rows.jsonl", *FORMS.values())))
    assert {(example.question, example.answer) for example in read.examples} == {(RENDERED, "C")}
    assert len(read.examples) == len(FORMS)
    assert read.ignored == ()
    assert read_file(DataFile(written(tmp_path / "more.jsonl", {**GOOD, "passage": "p"}))).ignored == ("passage",)


SOLVED = {"question": "How many?", "answer": "He has 2*3=<<2*3=6>>6.\nSo 6+994=<<6+994=1000>>1,000.\n#### 1,000"}


@pytest.mark.parametrize(
    ("form", "steps"),
    [
        (None, ("<<2*3=6>>", "<<6+994=1000>>")),
        (StepForm.EXPRESSIONS, ("<<2*3=6>>", "<<6+994=1000>>")),
        (StepForm.LINES, ("He has 2*3=6.", "So 6+994=1,000.")),
    ],
)
def test_gsm8k_solutions_are_taken_apart(tmp_path, form, steps):
    path = written(tmp_path / "rows.jsonl", SOLVED)
    assert examples(path, steps=form) == [Example("How many?", steps, "1000")]


def test_gsm8k_aug_lines_and_lines_without_steps(tmp_path):
    path = written(tmp_path / "lines.txt.gz", "Why?||<<1+1=2>> <<2*2=4>> #### 4", "What?|| #### 7")
    assert examples(path) == [Example("Why?", ("<<1+1=2>>", "<<2*2=4>>"), "4"), Example("What?", (), "7")]


def test_given_text_is_read_by_text_stages_and_no_step(tmp_path):
    row = {**GOOD, "steps": [{"given": "2+2"}, "4", {"given": "half of it"}, "2"]}
    (example,) = examples(written(tmp_path / "rows.jsonl", row))
    assert example.steps == ("4", "2")
    assert [(span.text, span.labelled) for span in example.spans] == [
        ("2+2\n", False),
        ("4\n", True),
        ("half of it\n", False),
        ("2\n", True),
    ]
    (plain,) = examples(written(tmp_path / "plain.jsonl", GOOD))
    assert (plain.steps, plain.spans) == (("a", "b"), ())


def test_steps_as_one_text_are_split_as_the_file_says(tmp_path):
    row = {**GOOD, "steps": "One. Two?\n\n  Three, i.e. 3.5 "}
    path = written(tmp_path / "rows.jsonl", row)
    assert examples(path)[0].steps == ("One. Two?", "Three, i.e. 3.5")
    assert examples(path, steps=StepForm.SENTENCES)[0].steps == ("One.", "Two?", "Three, i.e.", "3.5")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{", "no JSON"),
        ("[1]", "found list, expected an object"),
        ({"question": "Why?"}, "there is no answer, expected one in 'answer'"),
        ({"question": "Why?", "answer": "B"}, "'answer' is 'B' and the row has no options"),
        ({**GOOD, "answer": 4}, "'answer' is 4, expected some text"),
        ({**GOOD, "question": " "}, "'question' is ' '"),
        ({**GOOD, "steps": 3}, "'steps' is 3, expected a list"),
        ({**GOOD, "steps": [""]}, "'steps' is [''], expected a list"),
        ({**GOOD, "steps": ["a", {"given": 2}]}, "expected a list of texts, or {'given': text}"),
        ({**GOOD, "steps": [{"given": "a", "labelled": True}]}, "expected a list of texts, or {'given': text}"),
        ({**GOOD, "steps": [{"given": "\udfff"}]}, r"half a character, '\udfff'"),
        ({**GOOD, "options": ["x"]}, "choices is 1, expected 2 to 10"),
        ({**GOOD, "options": {"A": "x", "C": "y"}}, "expected A, B, C, … in order"),
        (
            {**GOOD, "options": ["x", "y"], "answer": "C"},
            "'answer' is 'C', expected one of the offered letters A, B",
        ),
        ({**GOOD, "options": ["x", "y"], "answer": "AB"}, "'answer' is 'AB', expected one of"),
        ({"question": "Why?", "step": ["a"], "answer": "4"}, "the key 'step', expected 'steps'"),
        ({"question": "Why?", "choice": ["a", "b"], "answer": "B"}, "the key 'choice', expected 'choices'"),
        ({**GOOD, "answer": "so\n#### 3"}, "there are 'steps' too"),
        ({"question": "Why?", "answer": "so\n#### "}, "expected one '#### result'"),
        ({"question": "Why?", "answer": "#### 1\n#### 2"}, "expected one '#### result'"),
        ({**GOOD, "question": "Why\ud800?"}, r"half a character, '\ud800', stands in 'Why\ud800?'"),
        ({**GOOD, "steps": ["a", "\udfff"]}, r"half a character, '\udfff'"),
        ({**GOOD, "answer": "\ud83d"}, "half a character"),
        ({**GOOD, "options": ["x", "\ud800"], "answer": "A"}, "half a character"),
        ("[" * 200_000, "no JSON"),
        (f'{{"question": "Why?", "answer": "4", "more": {"[" * 200_000}', "no JSON"),
        (
            {**GOOD, "question": "Which?\nA: x\nB: y", "answer": "C"},
            "'answer' is 'C' and the question's text ends in",
        ),
        ({**GOOD, "question": "Which?\nA. x\nB. y", "answer": "C"}, "options, expected one of A, B."),
        ({"question": "Which?\nA: x\nB: y", "answer": "so\n#### 2"}, "options, expected one of A, B."),
        ({**GOOD, "answer": "a}"}, "'answer' is 'a}', expected braces in pairs"),
    ],
)
def test_a_bad_row_is_refused_with_file_line_and_reason_or_counted(tmp_path, row, reason):
    path = written(tmp_path / "rows.jsonl", GOOD, row)
    with pytest.raises(DataError) as caught:
        read_file(DataFile(path))
    assert f"{path}, line 2" in str(caught.value)
    assert reason in str(caught.value)
    read = read_file(DataFile(path), BadRows.SKIP)
    assert (len(read.examples), read.skipped) == (1, 1)
    assert f"{path}, line 2" in read.first_bad


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz", "lines.txt"])
def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path, name):
    row = "Why?|| #### 4" if name.endswith(".txt") else json.dumps({"question": "Why?", "answer": "4"})
    path = written(tmp_path / name, "\ufeff" + row, row)
    assert examples(path) == 2 * [Example("Why?", (), "4")]


@pytest.mark.parametrize("more", [{"options": ["x", "y"]}, {"question": "Which?\nA: x\nB: y"}])
def test_white_space_around_an_answer_means_nothing(tmp_path, more):
    """Else the letter would be another token in training, and an open answer in scoring."""
    path = written(tmp_path / "rows.jsonl", {"question": "Which?", "answer": " B\n", **more})
    assert [example.answer for example in examples(path)] == ["B"]


def test_braces_in_an_answer_come_in_pairs(tmp_path):
    path = written(tmp_path / "rows.jsonl", {**GOOD, "answer": r"\frac{1}{2}"})
    assert examples(path)[0].answer == r"\frac{1}{2}"


@pytest.mark.parametrize("line", ["no bars #### 4", "||<<1>> #### 4", "Why?||<<1>> 4", "Why?||a||b #### 4"])
def test_a_bad_line_is_refused_too(tmp_path, line):
    with pytest.raises(DataError, match=r"lines\.txt, line 1: "):
        read_file(DataFile(written(tmp_path / "lines.txt", line)))


def test_files_that_cannot_be_read_are_refused(tmp_path):
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "bytes.jsonl").write_bytes(b'{"question": "\xff"}\n')
    (tmp_path / "plain.jsonl.gz").write_text("{}\n")
    (tmp_path / "rows.csv").write_text("a,b\n")
    cut = written(tmp_path / "cut.jsonl.gz", *[{**GOOD, "question": str(i) * 99} for i in range(99)])
    cut.write_bytes(cut.read_bytes()[:-20])
    for name in ("none.jsonl", "empty.jsonl", "bytes.jsonl", "plain.jsonl.gz", "cut.jsonl.gz", "rows.csv"):
        for bad_rows in BadRows:
            with pytest.raises(DataError, match=re.escape(name)):
                read_file(DataFile(tmp_path / name), bad_rows)


def test_a_file_of_bad_rows_only_is_refused_even_when_they_are_skipped(tmp_path):
    path = written(tmp_path / "rows.jsonl", "{", "[]")
    with pytest.raises(DataError, match=r"The first of 2 bad ones: .*line 1"):
        read_file(DataFile(path), BadRows.SKIP)


def test_a_weight_stands_behind_the_file(tmp_path):
    odd = written(tmp_path / "a=2", GOOD)
    assert parse_data_option("rows.jsonl=2.5") == DataFile(Path("rows.jsonl"), 2.5)
    assert parse_data_option("rows.jsonl") == DataFile(Path("rows.jsonl"))
    assert parse_data_option("a=b.jsonl") == DataFile(Path("a=b.jsonl"))
    assert parse_data_option(str(odd)) == DataFile(odd)
    with pytest.raises(CurriculumError, match=r"weight is -1.0, expected a number above 0"):
        parse_data_option("rows.jsonl=-1")


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the real data are not at {DATA}")
@pytest.mark.parametrize(
    ("name", "rows", "with_steps", "most_steps"),
    [
        ("casimedicos/en_train.jsonl.gz", 381, 381, None),
        ("gsm8k/train.jsonl.gz", 7_473, 7_378, None),
        ("gsm8k-aug/valid.txt.gz", 500, 494, 13),
        ("gsm8k-aug/test.txt.gz", 1_319, 1_301, 13),
        ("medmcqa/dev.jsonl.gz", 4_183, 0, 0),
        ("strategyqa/train.jsonl.gz", 2_061, 0, 0),
    ],
)
def test_real_data_are_read_whole(name, rows, with_steps, most_steps):
    found = examples(DATA / name)
    assert (len(found), sum(bool(example.steps) for example in found)) == (rows, with_steps)
    assert most_steps is None or max(len(example.steps) for example in found) <= most_steps


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the real data are not at {DATA}")
def test_gsm8k_and_its_line_form_agree():
    """The lines' test questions are GSM8K's, written down by others: same question, same answer."""
    rows, lines = (examples(DATA / name) for name in ("gsm8k/test.jsonl.gz", "gsm8k-aug/test.txt.gz"))
    assert [example.answer for example in rows] == [example.answer for example in lines]
    same = sum(a.steps == b.steps for a, b in zip(rows, lines, strict=True))
    assert same > 0.9 * len(rows), same


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the real data are not at {DATA}")
def test_real_data_have_bad_rows_too():
    """An option with a line break in it cannot be asked in the runtime's form."""
    file = DataFile(DATA / "medqa/dev.jsonl.gz")
    with pytest.raises(DataError, match=r"line 110: Choice 4 is .*expected one line of text"):
        read_file(file)
    read = read_file(file, BadRows.SKIP)
    assert (len(read.examples), read.skipped) == (1_225, 47)
