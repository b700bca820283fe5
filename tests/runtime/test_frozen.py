"""Frozen programs: PyInstaller is told what it cannot see, and such a program answers."""

from __future__ import annotations

import ast
import importlib.util
import json
import pkgutil
import runpy
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rim_runtime

from tests.places import DEMO_FOLDER, REPOSITORY, need

RUNTIME = REPOSITORY / "runtime"
QUESTION, CHOICES = "Which?", ["this", "that"]
PROGRAM = f"""
import json, sys
from pathlib import Path
import rim_edge, rim_runtime
with rim_runtime.Engine.load(engine="ort-cpu") as engine:
    answer = engine.ask({QUESTION!r}, {CHOICES!r})
maps = Path("/proc/self/maps")
mapped = maps.read_text().splitlines() if maps.exists() else []
files = sorted({{line.split(maxsplit=5)[-1] for line in mapped if "/" in line}})
print(json.dumps([sys.frozen, rim_runtime.__version__, answer.letter, answer.confidence, files]))
"""


def need_pyinstaller() -> None:
    """Skip a test where nothing can be frozen."""
    if importlib.util.find_spec("PyInstaller") is None:
        pytest.skip("needs PyInstaller")
    if sys.platform == "linux" and shutil.which("objdump") is None:
        pytest.skip("needs objdump (Debian: apt-get install binutils)")


def hooks() -> Path:
    """Return the folder of the hooks, as PyInstaller finds it: by the entry point."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (folder,) = pkgutil.resolve_name(project["entry-points"]["pyinstaller40"]["hook-dirs"])()
    return Path(folder)


def hook(package: str) -> dict[str, Any]:
    return runpy.run_path(str(hooks() / f"hook-{package}.py"))


def imported_late() -> Iterator[str]:
    """Yield the runtime's own modules that are imported inside of functions."""
    for path in (RUNTIME / "rim_runtime").rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for node in ast.walk(function):
                    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rim_runtime"):
                        yield from (str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names))


def test_every_module_that_is_imported_late_is_named() -> None:
    late = {name for name in imported_late() if (RUNTIME / f"{name.replace('.', '/')}.py").is_file()}
    assert {"rim_runtime.engines.trt", "rim_runtime.engines.openvino", "rim_runtime.machine.gpu"} <= late
    named = hook("rim_runtime")["hiddenimports"]
    assert late <= set(named)
    assert not [name for name in named if "_pyinstaller" in name]
    assert all(importlib.util.find_spec(name) for name in named)


def test_libraries_that_are_imported_by_a_name_are_named() -> None:
    """Nothing else hides an import in a text."""
    files = [path for path in (RUNTIME / "rim_runtime").rglob("*.py") if "import_module(" in path.read_text()]
    assert [path.name for path in files] == ["tensorrt.py"]
    named = hook("rim_runtime")["hiddenimports"]
    for library in ("tensorrt_rtx", "tensorrt"):
        assert (library in named) == (importlib.util.find_spec(library) is not None)


def test_the_demos_bundle_goes_with_rim_edge() -> None:
    ((source, target),) = hook("rim_edge")["datas"]
    assert (Path(source) / "manifest.json").is_file()
    assert target == "rim_edge/demo/bundle"


def test_what_openvino_opens_goes_with_it() -> None:
    need("openvino")
    files = [Path(source) for source, target in hook("openvino")["binaries"] if target == "openvino/libs"]
    assert all(file.is_file() for file in files)
    for name in ("openvino_intel_cpu_plugin", "openvino_onnx_frontend"):
        assert any(name in file.name for file in files)


def test_engines_bring_their_libraries_and_not_torch() -> None:
    """Tools of both import torch, and PyInstaller would take it wherever it is installed."""
    need("openvino")
    need_pyinstaller()
    for package in ("onnxruntime", "openvino"):
        found = hook(package)
        assert found["binaries"]
        assert "torch" in found["excludedimports"]


@pytest.mark.slow
def test_a_frozen_program_answers_without_python_and_without_torch(tmp_path: Path) -> None:
    need_pyinstaller()
    (tmp_path / "ask.py").write_text(PROGRAM)
    freeze = [sys.executable, "-m", "PyInstaller", "--additional-hooks-dir", str(hooks()), "ask.py"]
    freeze += ["--exclude-module", "openvino"]  # for speed
    subprocess.run(freeze, cwd=tmp_path, check=True, capture_output=True, timeout=400)
    folder = (tmp_path / "dist" / "ask").rename(tmp_path / "moved here")
    assert [name for name in ("torch", "transformers", "onnx") if (folder / "_internal" / name).exists()] == []
    (tmp_path / "home").mkdir()
    program = folder / ("ask.exe" if sys.platform == "win32" else "ask")
    environment = {"HOME": str(tmp_path / "home"), "PATH": str(tmp_path / "home")}
    done = subprocess.run([program], env=environment, cwd="/", capture_output=True, check=True, timeout=60)
    frozen, version, letter, confidence, files = json.loads(done.stdout)
    assert (frozen, version) == (True, rim_runtime.__version__)
    with rim_runtime.Engine.load(DEMO_FOLDER, engine="ort-cpu") as engine:
        answer = engine.ask(QUESTION, CHOICES)
    assert (letter, confidence) == (answer.letter, pytest.approx(answer.confidence, abs=1e-4))
    assert [file for file in files if "python" in file and str(folder) not in file] == [], "its own Python alone"
    assert list((tmp_path / "home").rglob("selftests/*.json")), "it is remembered"
