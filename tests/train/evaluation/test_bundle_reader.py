"""Asking a bundle: which letters an item may be answered with."""

from pathlib import Path

import pytest
from rim_runtime import FakeBackend
from rim_runtime.rows.row import read_row
from rim_runtime.testing import fake_engine

from rim_edge.data.rows import example_of_row
from rim_edge.evaluation.items import items_of
from rim_edge.evaluation.readers.bundle_reader import BundleReader

DIALOGUE = "What comes next?\nA: It hurts.\nB: Since when?"


@pytest.mark.parametrize(
    ("says", "letters", "read"), [({}, "AB", "B"), ({"choices": [], "letters": "ABCDEFGHIJ"}, "ABCDEFGHIJ", "C")]
)
def test_a_row_without_options_is_asked_for_all_letters(says: dict[str, object], letters: str, read: str) -> None:
    row = read_row({"question": DIALOGUE, "answer": "B", **says})
    (item,) = items_of([example_of_row(row, None, None)])
    assert item.letters == letters
    reader = BundleReader(fake_engine(FakeBackend([0, 1, 2, 0, 0, 0, 0, 0, 0, 0])), Path())
    assert reader.refusal(item) is None
    (found,) = reader.read([item], [None], range(8, 9))
    assert {blocks: given.answer for blocks, given in found.by_blocks.items()} == {8: read}
