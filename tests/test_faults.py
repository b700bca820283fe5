"""docs/faults.md names tests that exist."""

from __future__ import annotations

import re
from fnmatch import fnmatch

import pytest

from tests.places import REPOSITORY

PAGE = (REPOSITORY / "docs" / "faults.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)(?:::([\w…]+))?`", PAGE)))


def test_every_row_names_a_test_or_a_reason() -> None:
    rows = [line for line in PAGE.splitlines() if re.match(r"\| [\w–]", line)]
    assert len(rows) > 60
    told = [row for row in rows if ".py" in row or "left:" in row or " above" in row]
    assert told == rows


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_named_test_exists(file: str, name: str) -> None:
    there = re.findall(r"^def (test_\w+)", (REPOSITORY / "tests" / file).read_text(encoding="utf-8"), re.MULTILINE)
    assert any(fnmatch(test, name.replace("…", "*")) for test in there) if name else there
