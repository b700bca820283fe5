"""The GPU benchmark on a CPU: a slip in it would cost the minutes on a machine with a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import REPOSITORY


@pytest.mark.slow
def test_it_runs_on_a_cpu_and_reports_each_engines_memory(tmp_path: Path) -> None:
    options = ["--device", "cpu", "--layers", "1", "--quick", "--minutes", "30", "--work", str(tmp_path)]
    command = [sys.executable, str(REPOSITORY / "bench" / "gpu.py"), *options, "--out", str(tmp_path / "gpu.json")]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    assert (result["skipped"], result["failures"]) == ({}, {})
    rows = {(row["what"], row["precision"]) for row in result["rows"]}
    engines = {("ort-cpu", "fp32"), ("ort-cpu", "fp16")}
    assert rows == {("forward", "fp32"), ("snippet", "fp32"), *engines}
    assert all(
        row["p50_ms"] > 0 and row["bytes_ms"] > 0 and row["memory_gib"] is not None for row in result["rows"]
    )
    for name, precision in engines:
        memory = result["remarks"][f"{name} {precision}"]
        assert memory["weights_gib"] > 0.1 and memory["asked_gib"] >= memory["loaded_gib"] - 0.05
        assert f"\n{name} {precision}: {memory['loaded_gib']:.2f} GiB loaded" in done.stdout
    assert {"fp8", "bf16", "int8", "tensorrt-rtx"} <= result["remarks"].keys()
    assert done.stdout.splitlines()[-len(result["rows"]) - 1].split()[:3] == ["what", "precision", "tokens"]
