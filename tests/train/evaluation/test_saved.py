"""Saved rows: written as they come, continued, and never those of two runs in one file."""

import dataclasses
import json

import pytest
from rim_runtime.errors import TargetExistsError

from rim_edge.errors import DataError
from rim_edge.evaluation.asking import Row
from rim_edge.evaluation.extraction import Mark
from rim_edge.evaluation.items import Item
from rim_edge.evaluation.reading import Given, Kind, Reading, Subject
from rim_edge.evaluation.report.saved import Run, SavedRows, read_rows
from rim_edge.evaluation.way import Draws, Manner, Way

SUBJECT = Subject(Kind.BUNDLE, "mine", "/somewhere", "ab" * 32, "ort-cpu", "int8")
RUN = Run(SUBJECT, Manner(Way.OPEN, draws=Draws(2)), range(3), None, 0)
ROWS = [
    Row(f"line {number}", Item(f"{number} and {number}?\u2028", str(2 * number), "")) for number in range(1, 5)
]


def reading(row):
    given = Given(row.item.answer, None, "2}", Mark.PREFIX, 2, True, 1.5, 2.5, ("2", "3"))
    letters = Given("A", {"A": 0.75, "B": 0.25})
    return Reading({0: letters, 2: given}, "B", None, True, {1: "A", 2: "C"})


def test_what_was_saved_is_read_again_as_it_was(tmp_path):
    file = tmp_path / "new" / "rows.jsonl"
    saved = SavedRows(file, RUN)
    assert saved.restore(ROWS) == {}
    saved.add(ROWS[:1], [reading(ROWS[0])])
    saved.add(ROWS[2:], list(map(reading, ROWS[2:])))
    assert len(file.read_bytes().split(b"\n")) == 4
    moved = dataclasses.replace(RUN, subject=dataclasses.replace(SUBJECT, path="/elsewhere"))
    assert SavedRows(file, moved).restore(ROWS) == {place: reading(ROWS[place]) for place in (0, 2, 3)}
    assert [row.is_right for row in read_rows(file)] == [True] * 3


def test_rows_of_before_single_blocks_were_exchanged_go_on(tmp_path):
    file = tmp_path / "rows.jsonl"
    SavedRows(file, RUN).add(ROWS[:1], [dataclasses.replace(reading(ROWS[0]), exchanged=None)])
    assert RUN.name == "e8c4c4109ca94481", "as it was named then"
    body = json.loads(file.read_text(encoding="utf-8"))
    assert body.pop("exchanged_block") is None
    file.write_text(json.dumps(body) + "\n", encoding="utf-8")
    (read,) = SavedRows(file, RUN).restore(ROWS).values()
    assert read.exchanged is None


def test_half_a_line_is_dropped_once_there_is_a_whole_one_to_write(tmp_path):
    file = tmp_path / "rows.jsonl"
    SavedRows(file, RUN).add(ROWS[:2], list(map(reading, ROWS[:2])))
    whole = file.read_bytes()
    file.write_bytes(whole + whole[:40])
    saved = SavedRows(file, RUN)
    assert file.read_bytes() == whole + whole[:40], "looking alters nothing"
    assert set(saved.restore(ROWS)) == {0, 1}
    saved.add(ROWS[2:3], [reading(ROWS[2])])
    assert [row.place for row in read_rows(file)] == ["line 1", "line 2", "line 3"]


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(RUN, manner=Manner(Way.CHAIN)),
        dataclasses.replace(RUN, budgets=range(2)),
        dataclasses.replace(RUN, each_block=True),
        dataclasses.replace(RUN, subject=dataclasses.replace(SUBJECT, sha256="cd" * 32)),
        dataclasses.replace(RUN, manner=Manner(Way.OPEN, draws=Draws(2, seed=1))),
    ],
)
def test_a_file_of_another_run_is_left_alone(tmp_path, other):
    file = tmp_path / "rows.jsonl"
    SavedRows(file, RUN).add(ROWS[:1], [reading(ROWS[0])])
    before = file.read_bytes()
    with pytest.raises(TargetExistsError, match="already exists, and holds answers of another run"):
        SavedRows(file, other)
    assert file.read_bytes() == before


@pytest.mark.parametrize("content", [b"notes of mine", b"{}\n", b"[1]\n", b'{"row": 1}\n', b"\xff\n"])
def test_anything_else_is_left_alone(tmp_path, content):
    file = tmp_path / "notes.txt"
    file.write_bytes(content)
    with pytest.raises((TargetExistsError, DataError), match=r"notes\.txt"):
        SavedRows(file, RUN)
    assert file.read_bytes() == content
