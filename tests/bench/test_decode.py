"""The measurement of text on a tiny model, ours alone: does every part run, and do one and many write the same?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.export.families import FAMILIES
from tests.places import REPOSITORY, need


@pytest.mark.slow
def test_it_measures_and_both_precisions_write(tmp_path: Path) -> None:
    need("matplotlib")
    tiny = FAMILIES["llama"].build(tmp_path / "tiny")
    command = [sys.executable, str(REPOSITORY / "bench" / "decode.py"), "--quick", "--model", str(tiny.path)]
    command += ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "decode.json")]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    model = json.loads((tmp_path / "decode.json").read_text(encoding="utf-8"))["models"]["tiny"]
    group = model["groups"]["wide"]
    assert group["missing"] == {}
    assert set(group["rows"]) == {"rim-edge fp32", "rim-edge int8"}
    assert group["gigabytes_a_second"] > 0.1
    fp32, int8 = (group["rows"][f"rim-edge {precision}"] for precision in ("fp32", "int8"))
    assert len(fp32["text"]) == len(int8["text"]) == 5
    for row in (fp32, int8):
        assert row["single_pass_s"] > 0
        assert row["first_token_s"] > 0
        assert row["tokens_a_second"] > 0
        assert row["many_tokens_a_second"] > 0
    assert 2 * int8["bytes_a_token"] < fp32["bytes_a_token"]
    assert [target["met"] for target in model["targets"]] == [None] * 4
    assert "rim-edge int8" in (tmp_path / "decode.svg").read_text(encoding="utf-8")
