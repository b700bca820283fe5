"""Files of rows: every way in which they are written, and each thing that is no such file by its own name."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from rim_runtime.errors import RowError
from rim_runtime.rows import lines
from rim_runtime.rows.files import read_records, read_rows

ROW = {"question": "Qué?", "options": ["sí", "no"], "answer": "B"}
LINE = json.dumps(ROW, ensure_ascii=False)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rows.jsonl", f"{LINE}\n\n{LINE}\n"),
        ("rows.jsonl", f"\ufeff{LINE}\r\n{LINE}\r\n"),
        ("rows.json", f"{LINE}\n{LINE}"),
        ("rows.json", f"\ufeff[{LINE},\n {LINE}]\n"),
        ("rows.jsonl", f"[{LINE}, {LINE}]"),
        ("rows", f"{LINE}\n{LINE}\n"),
    ],
)
@pytest.mark.parametrize("gzipped", [False, True])
def test_lines_and_lists_with_or_without_a_mark_or_gzip(
    tmp_path: Path, name: str, text: str, gzipped: bool
) -> None:
    path = tmp_path / (f"{name}.gz" if gzipped else name)
    path.write_bytes(gzip.compress(text.encode()) if gzipped else text.encode())
    assert [(row.question.rendered(), answer) for row, answer in read_rows(path)] == 2 * [
        ("Qué?\nA: sí\nB: no", "B")
    ]


def test_what_is_gzipped_shows_in_the_file_not_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "plain.jsonl.gz").write_text(LINE, encoding="utf-8")
    (tmp_path / "packed.jsonl").write_bytes(gzip.compress(LINE.encode()))
    assert len(read_rows(tmp_path / "plain.jsonl.gz")) == len(read_rows(tmp_path / "packed.jsonl")) == 1


def test_a_file_may_be_named_by_a_text(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(LINE, encoding="utf-8")
    assert read_rows(str(path)) == read_rows(path)
    assert [record.row for record in read_records(str(path))] == [row for row, _ in read_rows(path)]
    with pytest.raises(RowError, match=r"There is no file none\.jsonl"):
        read_rows("none.jsonl")
    with pytest.raises(RowError, match="The file is a int, expected its path"):
        read_rows(5)  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(gzip.compress(LINE.encode()),))
    writer.start()
    assert len(read_rows(tmp_path / "pipe")) == 1
    writer.join()


def loop(path: Path) -> None:
    path.symlink_to(path)


WRITTEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "folder.jsonl": (Path.mkdir, "is a folder, expected a file of rows"),
    "none.jsonl": (lambda path: None, "There is no file"),
    "loop.jsonl": (loop, "cannot be opened"),
    "empty.jsonl": (Path.touch, "is empty, expected rows"),
    "blank.jsonl": (lambda path: path.write_text("\n \n"), "is empty, expected rows"),
    "rows.csv": (lambda path: path.write_text("a,b"), "is called neither .jsonl, .json nor .txt"),
    "utf16.jsonl": (lambda path: path.write_text(LINE, "utf-16"), "is UTF-16 or UTF-32, expected UTF-8"),
    "utf16le.jsonl": (lambda path: path.write_text(LINE, "utf-16-le"), "is UTF-16 or UTF-32, expected UTF-8"),
    "utf32.jsonl": (lambda path: path.write_text(LINE, "utf-32"), "is UTF-16 or UTF-32, expected UTF-8"),
    "latin1.jsonl": (lambda path: path.write_text(f"{{}}\n{LINE}", "latin-1"), ", line 2: not UTF-8 at byte 16"),
    "cut.jsonl.gz": (
        lambda path: path.write_bytes(gzip.compress(LINE.encode())[:-9]),
        "after line 0: cannot be read (Compressed file ended",
    ),
    "list.json": (lambda path: path.write_text("[{}"), ": no JSON ("),
    "half.jsonl": (
        lambda path: path.write_text('{"question": "Why?"}\n{"question": "Why\\ud800?"}'),
        ", line 2: half a character, '\\ud800'",
    ),
    "twice.jsonl": (lambda path: path.write_text('{"question": "x", "question": "y"}'), "'question' comes twice"),
    "nan.jsonl": (
        lambda path: path.write_text('{"question": "x", "id": NaN}'),
        "line 1: no JSON (NaN stands in it)",
    ),
    "deep.jsonl": (
        lambda path: path.write_text('{"id":' + "[" * 200_000),
        "line 1: no JSON (it is nested too deep)",
    ),
    "rows.txt": (lambda path: path.write_text("Why?||#### 4"), "found a text, expected a row in JSON"),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_no_file_of_rows_is_named(tmp_path: Path, name: str) -> None:
    write, says = WRITTEN[name]
    write(tmp_path / name)
    with pytest.raises(RowError) as refused:
        read_rows(tmp_path / name)
    assert str(tmp_path / name) in str(refused.value)
    assert says in str(refused.value)


def test_the_null_device_and_a_name_that_cannot_be_are_named() -> None:
    with pytest.raises(RowError, match=r"null is empty, expected rows"):
        read_rows(Path(os.devnull))
    with pytest.raises(RowError, match="cannot be opened"):
        read_rows(Path("a\0b"))


def test_a_line_that_is_no_question_is_left_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST_LINE", 1_000)
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join([LINE, json.dumps(ROW | {"question": "x" * 5_000}), LINE]), encoding="utf-8")
    records = list(read_records(path))
    assert [record.place for record in records] == ["line 1", "line 2", "line 3"]
    assert records[1].problem is not None and "which is no question" in records[1].problem
    assert records[1].value is None
    assert records[2].value == ROW
