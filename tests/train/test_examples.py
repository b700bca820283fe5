"""Rows of training data: what is read, and what is refused with file, line and reason."""

import gzip
import json

import pytest

from rim_edge.train.errors import DataError
from rim_edge.train.examples import Example, read_examples

GOOD = {"question": "Why?", "steps": ["a", "b"], "answer": "B"}


def written(path, *rows):
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_rows_become_examples(tmp_path, name):
    rows = (GOOD, "", {"question": "Which?", "options": ["x", "y"], "answer": "A"})
    assert read_examples(written(tmp_path / name, *rows)) == [
        Example("Why?", ("a", "b"), "B"),
        Example("Which?\nA: x\nB: y", (), "A"),
    ]


def test_options_may_be_an_object(tmp_path):
    row = {"question": "Which?", "options": {"A": "x", "B": "y"}, "answer": "A"}
    assert read_examples(written(tmp_path / "rows.jsonl", row))[0].question == "Which?\nA: x\nB: y"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{", "no JSON"),
        ("[1]", "found list, expected an object"),
        ({"question": "Why?"}, "'answer' is None"),
        ({**GOOD, "question": " "}, "'question' is ' '"),
        ({**GOOD, "steps": "a"}, "'steps' is 'a', expected a list"),
        ({**GOOD, "steps": [""]}, "'steps' is [''], expected a list"),
        ({**GOOD, "options": ["x"]}, "choices is 1, expected 2 to 10"),
        ({**GOOD, "options": {"A": "x", "C": "y"}}, "expected A, B, C, … in order"),
        ({**GOOD, "label": 1}, "unknown keys ['label']"),
    ],
)
def test_a_bad_row_is_refused_with_file_line_and_reason(tmp_path, row, reason):
    path = written(tmp_path / "rows.jsonl", GOOD, row)
    with pytest.raises(DataError) as caught:
        read_examples(path)
    assert f"{path}, line 2" in str(caught.value)
    assert reason in str(caught.value)


def test_files_that_cannot_be_read_are_refused(tmp_path):
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "bytes.jsonl").write_bytes(b'{"question": "\xff"}\n')
    (tmp_path / "plain.jsonl.gz").write_text("{}\n")
    cut = written(tmp_path / "cut.jsonl.gz", *[{**GOOD, "question": str(i) * 99} for i in range(99)])
    cut.write_bytes(cut.read_bytes()[:-20])
    for name in ("none.jsonl", "empty.jsonl", "bytes.jsonl", "plain.jsonl.gz", "cut.jsonl.gz"):
        with pytest.raises(DataError, match=name):
            read_examples(tmp_path / name)
