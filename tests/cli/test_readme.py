"""README's first screen is true: its answer, and its Python session."""

from __future__ import annotations

import doctest
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rim_edge.cli.verbs import VERBS
from tests.places import REPOSITORY

ROOT = REPOSITORY
README = ROOT / "README.md"


def test_the_python_session(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    result = doctest.testfile(str(README), module_relative=False)
    assert (result.failed, result.attempted) == (0, 3)


def test_the_printed_answer(run: Callable[..., Any]) -> None:
    console = README.read_text(encoding="utf-8").split("```console\n")[1].split("```")[0]
    command, printed = console.split("$ ")[2].split("\n", 1)
    match = re.fullmatch(r'rim-edge ask "(.*)"', command)
    assert match
    shown = run("ask", match[1])
    assert _lines(shown.err + shown.out) == _lines(printed)


def _lines(text: str) -> list[str]:
    """Return what is said, without indents, the time it took, and the engine that was the faster one here."""
    said = re.sub(r"[\d.]+ ms", "ms", text).replace("· openvino ·", "· ort-cpu ·")
    return [line.strip() for line in said.splitlines() if line.strip() and "auto took" not in line]


def test_every_verb_is_listed() -> None:
    listed = set(re.findall(r"^\| `(\w+)` \|", README.read_text(encoding="utf-8"), re.MULTILINE))
    assert listed == set(VERBS)


def test_the_makefile_asks_the_same_puzzle() -> None:
    question = re.search(r"^Q \?= (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert question
    assert question[1] in README.read_text(encoding="utf-8")
