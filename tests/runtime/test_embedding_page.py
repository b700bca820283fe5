"""docs/embedding.md: its programs run, and what they use is there."""

from __future__ import annotations

import logging
import re
from typing import Any

from tests.places import REPOSITORY


def test_the_programs_of_the_page_run() -> None:
    page = (REPOSITORY / "docs" / "embedding.md").read_text(encoding="utf-8")
    programs = re.findall(r"```python\n(.*?)```", page, re.S)
    assert len(programs) == 8
    names: dict[str, Any] = {}
    try:
        for program in programs:
            exec(program, names)
    finally:
        logging.getLogger("rim_runtime").setLevel(logging.NOTSET)
    assert names["answer"].letter
