"""The measurement of a real model, on the demo and without comparators: does every part run, and agree?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import DEMO_PACKAGE, REPOSITORY, need


@pytest.mark.slow
def test_fp32_keeps_every_token_and_the_edited_graph_is_the_bundle_s(tmp_path: Path) -> None:
    need("matplotlib")
    command = [sys.executable, str(REPOSITORY / "bench" / "real.py"), "--quick", "--work", str(tmp_path)]
    command += ["--model", str(DEMO_PACKAGE / "checkpoint"), "--text", str(DEMO_PACKAGE / "questions.jsonl")]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "real.json")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads((tmp_path / "real.json").read_text(encoding="utf-8"))
    assert result["missing"] == {}
    fp32, int8 = result["rows"]["rim-edge fp32"], result["rows"]["rim-edge int8"]
    assert fp32["text"]["tokens"] >= 120
    assert fp32["text"]["top1_kept"] == 1.0
    assert abs(fp32["text"]["kl"]) < 1e-6 < int8["text"]["kl"] < 0.1
    for row in (fp32, int8):
        assert row["letters"]["edit_differs"] < 1e-4
        assert row["letters"]["0 blocks"]["questions"] == row["letters"]["all blocks"]["questions"] == 8
    assert fp32["letters"]["all blocks"]["flips"] == 0
    assert fp32["time"]["of_fp32"] == 1.0
    assert int8["bytes"] < 0.4 * fp32["bytes"]
    assert (tmp_path / "real.svg").read_text(encoding="utf-8").count(">int8<") == 2
