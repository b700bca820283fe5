"""A file where a folder is expected, and the other way round: bad input, told as such, before any work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.mark.parametrize("below", ["", "below"])
@pytest.mark.parametrize(
    "command",
    [
        ("bundle", "triton", "demo", "PLACE"),
        ("rollouts", "--model", "none", "--data", "none.jsonl", "-o", "PLACE"),
    ],
    ids=lambda command: command[0],
)
def test_a_file_where_a_folder_is_expected(run: Run, tmp_path: Path, command: tuple[str, ...], below: str) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    done = run(*(str(file / below) if word == "PLACE" else word for word in command))
    assert (done.code, done.out) == (2, "")
    assert f"{file} is a file, expected a folder for " in done.err
    assert file.read_text() == "mine"


def test_rollouts_say_that_rows_are_needed(run: Run, tmp_path: Path) -> None:
    assert "generated puzzles" not in run("rollouts", "--help").out
    done = run("rollouts", "--model", "none", "-o", str(tmp_path / "new"))
    assert done.code == 2
    assert "There are no questions, expected a file of rows. Pass --data FILE" in done.err
