"""`rim-edge prompt`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]


def test_json_is_the_contract(run: Run, tiny_bundle: Path) -> None:
    body = run("prompt", "Why?", "--blocks", "2", "--json", "--bundle", str(tiny_bundle)).json
    assert list(body) == ["schema_version", "ids", "parts"]
    assert list(body["parts"]) == ["head", "question", "tail", "blocks", "prefix"]
    assert body["ids"] == [number for part in body["parts"].values() for number in part]
    assert len(body["parts"]["blocks"]) == 2 * 4


def test_people_see_parts_and_pieces(run: Run, tiny_bundle: Path) -> None:
    shown = run("prompt", "Why é?", "-c", "a", "-c", "b", "--bundle", str(tiny_bundle)).out
    assert "blocks       32 ids   8 of 8 × 4" in shown
    assert "prefix        3 ids   The" in shown
    assert "W│h│y│ │\ufffd│\ufffd│?│\\n│A│:│ │a│\\n│B│:│ │b" in shown
    assert "of at most 512." in shown


def test_a_question_from_a_pipe(run: Run, tiny_bundle: Path) -> None:
    place = ("--bundle", str(tiny_bundle), "--json")
    assert run("prompt", *place, stdin=b"Why?\n").json == run("prompt", "Why?", *place).json


def test_bad_input(run: Run, tiny_bundle: Path) -> None:
    place = ("--bundle", str(tiny_bundle))
    assert run("prompt", *place, stdin=b"").code == 2
    assert "605 tokens" in run("prompt", "x" * 600, *place).err
    assert "Got 9 blocks" in run("prompt", "Why?", "--blocks", "9", *place).err
    (tiny_bundle / "tokenizer.json").write_text("{}")
    assert run("prompt", "Why?", *place).code == 3


def test_it_needs_no_engine(tiny_bundle: Path) -> None:
    code = """
import sys
sys.modules["onnxruntime"] = None
from rim_edge.cli import main
main(["prompt", "Why?", "--bundle", sys.argv[1]])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny_bundle)], capture_output=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
