"""`rim-edge doctor`: works on every machine, with nothing installed and everything broken."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rim_edge.extras import EXTRAS

Run = Callable[..., Any]
REPOSITORY = Path(__file__).parents[2]


def test_json_is_the_contract(run: Run, demo_bundle: Path, own_home: Path) -> None:
    body = run("doctor", "--json").json
    assert list(body) == [
        "schema_version", "python", "platform", "cpu", "onnxruntime", "engines", "extras",
        "bundles", "bundles_trouble", "home", "cache",
    ]  # fmt: skip
    assert [engine["name"] for engine in body["engines"]] == ["ort-cpu", "openvino", "ort-cuda", "trt"]
    assert [engine["available"] for engine in body["engines"]] == [True, True, False, False]
    assert [extra["name"] for extra in body["extras"]] == list(EXTRAS)
    assert body["onnxruntime"]["conflict"] is None
    assert body["onnxruntime"]["telemetry"] == "off"
    assert body["bundles"] == [{"name": "demo", "path": str(demo_bundle), "default": True}]
    assert body["home"] == {"path": str(own_home), "trouble": None}
    assert body["cache"] == {"path": str(own_home / "cache"), "trouble": None}
    assert not own_home.exists(), "doctor leaves nothing behind"


def test_people_see_all_sections(run: Run, demo_bundle: Path) -> None:
    shown = run("doctor")
    assert shown.code == 0
    for title in ("machine", "onnx runtime", "engines", "extras", "bundles", "folders"):
        assert f"\n{title}\n" in shown.out
    assert "ort-cpu     ✓ onnxruntime" in shown.out
    assert "openvino    ✓ openvino 2026." in shown.out
    assert "its usage reporting kept out" in shown.out
    assert "trt         – trt finds no GPU to run on." in shown.out
    assert "← used by ask" in shown.out


def test_without_onnx_runtime_and_torch(tmp_path: Path) -> None:
    code = """
import sys
sys.modules.update(dict.fromkeys(["onnxruntime", "openvino", "torch", "onnx"]))
from rim_edge.cli import main
main(["doctor", "--json"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    body = json.loads(done.stdout)
    assert body["engines"][0]["available"] is False
    assert 'pip install "rim-edge[cpu]"' in body["engines"][0]["reason"]
    assert body["engines"][1]["available"] is False
    assert 'pip install "rim-edge[openvino]"' in body["engines"][1]["reason"]
    extras = {extra["name"]: extra for extra in body["extras"]}
    assert extras["export"]["missing"] == ["torch", "onnx"]
    assert extras["export"]["command"] == 'pip install "rim-edge[export]"'


def test_troubles_are_shown_not_raised(run: Run, demo_bundle: Path, own_home: Path, tmp_path: Path) -> None:
    own_home.mkdir()
    (own_home / "state.json").write_text("{")
    assert "state.json cannot be read" in run("doctor").out


def test_a_home_that_cannot_be_written(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RIM_EDGE_HOME", str(tmp_path / "file"))
    body = run("doctor", "--json").json
    assert body["home"]["trouble"] == f"{tmp_path / 'file'} is not a folder"
    assert body["cache"]["trouble"]


def test_two_wheels_are_named_with_the_repair(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from rim_edge import machine

    monkeypatch.setattr(machine, "installed_wheels", lambda: {"onnxruntime": "1", "onnxruntime-gpu": "1"})
    shown = run("doctor")
    assert shown.code == 0
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in shown.out


def test_extras_are_those_of_the_project() -> None:
    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for name, modules in EXTRAS.items():
        packages = {line.partition(">")[0].strip().replace("-", "_") for line in declared[name]}
        assert set(modules) == packages, name
