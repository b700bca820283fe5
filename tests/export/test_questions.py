"""Files of questions: every encoding that people's tools write, and damage that is named."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from rim_export.questions import LabelledQuestion, read_questions
from rim_runtime.errors import RowError

from tests.public_forms import FORMS, RENDERED

ROW = json.dumps({"question": "Which?", "options": {"A": "é", "B": "y"}, "answer": "A"}, ensure_ascii=False)
READ = (LabelledQuestion("Which?\nA: é\nB: y", "A"),)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_utf8_with_or_without_a_byte_order_mark(tmp_path: Path, name: str, encoding: str, end: str) -> None:
    content = (ROW + end).encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert read_questions(tmp_path / name).asked == READ


def spoilt_gzip() -> bytes:
    """Return gzip whose compressed part is no deflate."""
    whole = bytearray(gzip.compress(ROW.encode() * 50, mtime=0))
    whole[12:20] = b"\xff" * 8
    return bytes(whole)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("deep.jsonl", b"[" * 200_000, "no JSON .it is nested too deep"),
        ("bad.jsonl.gz", spoilt_gzip(), "cannot be read .Error -3 while decompressing"),
        ("cut.jsonl.gz", gzip.compress(ROW.encode(), mtime=0)[:-9], "cannot be read .Compressed file ended"),
        ("utf16.jsonl", ROW.encode("utf-16"), "is UTF-16 or UTF-32, expected UTF-8. Convert it"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RowError, match=rf"{name}.* {message}"):
        read_questions(tmp_path / name)


def test_certificates_and_calibrations_read_every_public_form(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in FORMS.values()))
    assert read_questions(file).asked == len(FORMS) * (LabelledQuestion(RENDERED, "C"),)
    assert read_questions(file).notes == ()


def test_what_rows_hold_besides_is_named_and_no_answer_is_needed(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    rows = [
        {"question": "Which?\nA: x\nB: y", "passage": "p"},
        {"question": "Why?", "answer": "because", "page": 1},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    read = read_questions(file)
    assert [question.answer for question in read.asked] == [None, None]
    assert read.notes == ("rows.jsonl: ignored keys: passage, page",)


@pytest.mark.parametrize("row", [{"question": "Which?\nA. x\nC. y"}, {"question": "Which?\n1. x\n2. y"}])
def test_questions_whose_letters_are_not_clear_prove_nothing(tmp_path: Path, row: dict[str, str]) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    with pytest.raises(RowError, match=r"rows.jsonl, line 1: The question seems to"):
        read_questions(tmp_path / "rows.jsonl")
