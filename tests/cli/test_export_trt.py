"""`rim-edge export --engine trt`: plans without a GPU, a bundle that answers here all the same, refusals."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rim_runtime.libraries.tensorrt import Library, is_installed

from rim_edge.demo.make import CHECKPOINT, HERE
from rim_edge.puzzles.fresh import fresh_puzzles

pytestmark = pytest.mark.usefixtures("one_conversion_a_model")


Run = Callable[..., Any]
DEMO = str(HERE / CHECKPOINT)
needs_rtx = pytest.mark.skipif(
    not is_installed(Library.RTX), reason="tensorrt_rtx is not installed: plans are NOT tested here"
)


def puzzles(path: Path, count: int, seed: int) -> str:
    rows = [puzzle.row() for puzzle in fresh_puzzles(count, seed)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@needs_rtx
@pytest.mark.slow
def test_a_bundle_with_plans_answers_here_on_the_next_rung(run: Run, own_home: Path, tmp_path: Path) -> None:
    files = ("--certify", puzzles(tmp_path / "asked.jsonl", 48, 79))
    files += ("--calibration", puzzles(tmp_path / "measured.jsonl", 12, 77))
    target = tmp_path / "bundle"
    done = run("export", "--engine", "trt", "--precision", "fp8", "-m", DEMO, "-o", str(target), *files, "--json")
    assert done.code == 0, done.err
    (plan,) = done.json["plans"]
    content = (target / plan["file"]).read_bytes()
    assert (plan["bytes"], plan["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert plan["targets"] == ["sm_89", "sm_120"]
    assert "sm_86 left out, without fp8" in done.err
    assert "not run: that takes such a GPU" in done.err
    int8, fp8 = done.json["certificate"]["variants"]
    assert (int8["variant"], fp8["variant"]) == ("int8", "fp8-fp16")
    assert fp8["computed_with"].startswith("onnxruntime 1.")
    assert fp8["flips"] <= 1
    info = run("bundle", "info", str(target), "--json").json
    shown = {key: info["plans"][0][key] for key in ("file", "sha256", "targets", "bytes")}
    assert shown == {key: plan[key] for key in shown}
    puzzle = next(iter(fresh_puzzles(1, 5)))
    answered = run("ask", puzzle.question, "--bundle", str(target), "--json")
    assert answered.code == 0, answered.err
    assert answered.json["letter"] == puzzle.answer
    assert answered.json["engine"] in ("ort-cpu", "openvino", "ort-cuda", "trt")
    if answered.json["engine"] != "trt":
        assert "trt" in answered.err


@needs_rtx
@pytest.mark.slow
@pytest.mark.parametrize(("precision", "named"), [("bf16", "bf16"), ("nvfp4", "nvfp4-fp16")])
def test_what_onnx_runtime_cannot_run_is_certified_in_torch(
    precision: str, named: str, run: Run, own_home: Path, tmp_path: Path
) -> None:
    options = ["--certify", puzzles(tmp_path / "asked.jsonl", 36, 79), "--max-flips", "0.3"]
    if precision != "bf16":
        options += ["--calibration", puzzles(tmp_path / "measured.jsonl", 8, 77)]
    target = tmp_path / "bundle"
    done = run(
        "export", "--engine", "trt", "--precision", precision, "-m", DEMO, "-o", str(target), *options, "--json"
    )
    assert done.code == 0, done.err
    _, narrow = done.json["certificate"]["variants"]
    assert (narrow["variant"], narrow["computed_with"].split()[0]) == (named, "torch")
    assert done.json["plans"][0]["variant"] == named
    assert ("An experiment" in done.err) == (precision == "nvfp4")


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--engine", "trt", "--target", "sm_86"), 4, "expected sm_89, sm_120, sm_121"),
        (("--engine", "trt", "--precision", "int8", "--target", "sm_90"), 4, "for sm_90, expected sm_75"),
        (("--engine", "ort-cuda", "--precision", "fp8"), 2, "ort-cuda does not run fp8"),
        (("--target", "sm_89"), 2, "Add --engine trt"),
    ],
)
@needs_rtx
def test_refusals(
    options: tuple[str, ...], code: int, said: str, run: Run, own_home: Path, tmp_path: Path
) -> None:
    done = run("export", "-m", DEMO, "-o", str(tmp_path / "out" / "bundle"), *options)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert not (tmp_path / "out").exists()


def test_without_the_library(run: Run, own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    done = run("export", "-m", DEMO, "-o", str(tmp_path / "bundle"), "--engine", "trt")
    assert (done.code, done.out) == (4, "")
    assert 'pip install "rim-edge[trt]"' in done.err
    assert not (tmp_path / "bundle").exists()
