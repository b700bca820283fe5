"""ONNX Runtime's import: reporting off, one wheel, and clear words where it is missing or broken."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from rim_runtime import MissingExtraError, UnavailableError
from rim_runtime.libraries import onnxruntime
from rim_runtime.libraries.onnxruntime import Telemetry

BLOCKED = "import sys; sys.modules['onnxruntime'] = sys.modules['openvino'] = None\n"


def run_python(code: str, tmp_path: Path, **environment: str) -> str:
    """Run code in a fresh process with an empty home; return what it printed."""
    kept = {key: value for key, value in os.environ.items() if key != onnxruntime.VARIABLE}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=kept | {"HOME": str(tmp_path)} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_reporting_is_off_and_leaves_no_file(tmp_path: Path, tiny_bundle: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    code = f"""
from rim_runtime import Engine
from rim_runtime.libraries.onnxruntime import telemetry
print(telemetry().name)
with Engine.load({str(tiny_bundle)!r}, engine="ort-cpu") as engine:
    print(telemetry().name, engine.notes)
"""
    assert run_python(code, home) == "NOT_LOADED\nOFF ()"
    assert list(home.iterdir()) == []


def test_a_host_that_imported_it_first_is_told(tmp_path: Path, tiny_bundle: Path) -> None:
    code = f"""
import onnxruntime
from rim_runtime import Engine
from rim_runtime.libraries.onnxruntime import telemetry
print(telemetry().name)
with Engine.load({str(tiny_bundle)!r}, engine="ort-cpu") as engine:
    print(telemetry().name, *engine.notes)
"""
    told = run_python(code, tmp_path)
    assert told.startswith("HOST\nHOST onnxruntime was imported before rim_runtime with its usage reporting on")
    assert "Set ORT_DISABLE_TELEMETRY=1 before the import" in told


def test_a_host_that_switched_it_off_is_fine(tmp_path: Path) -> None:
    code = "import onnxruntime; from rim_runtime.libraries.onnxruntime import telemetry; print(telemetry().name)"
    assert run_python(code, tmp_path, ORT_DISABLE_TELEMETRY="1") == "OFF"


def test_missing_names_both_commands(tmp_path: Path, tiny_bundle: Path) -> None:
    code = f"""{BLOCKED}
import rim_runtime
try:
    rim_runtime.Engine.load({str(tiny_bundle)!r})
except rim_runtime.MissingExtraError as error:
    assert isinstance(error, ImportError)
    print(error)
"""
    told = run_python(code, tmp_path)
    assert told.startswith("Answering needs what is not installed here: onnxruntime. Run: ")
    assert 'pip install "rim-edge[cpu]"' in told
    assert 'pip install "rim-edge[gpu]"' in told


def test_a_folder_that_a_wheel_left_behind(tmp_path: Path) -> None:
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime" / "__init__.py").touch()
    code = f"""
import sys; sys.path.insert(0, {str(tmp_path)!r})
from rim_runtime.libraries.onnxruntime import import_onnxruntime
try:
    import_onnxruntime()
except Exception as error:
    print(type(error).__name__, error)
"""
    told = run_python(code, tmp_path)
    assert told.startswith("EngineUnavailableError The folder of onnxruntime is damaged")


def test_two_wheels_are_refused_with_the_repair() -> None:
    with pytest.raises(UnavailableError) as caught:
        onnxruntime.refuse_two_wheels({"onnxruntime": "1.31.1", "onnxruntime-gpu": "1.31.1"})
    assert str(caught.value) == (
        "onnxruntime and onnxruntime-gpu are both installed and overwrite each other, expected one. "
        'Run: pip uninstall -y onnxruntime onnxruntime-gpu && pip install "rim-edge[gpu]"'
    )
    onnxruntime.refuse_two_wheels({"onnxruntime": "1.31.1"})
    onnxruntime.refuse_two_wheels({})


def test_a_load_looks_for_two_wheels(tmp_path: Path) -> None:
    code = """
from importlib import metadata
original = metadata.version
metadata.version = lambda name: "1.31.1" if name == "onnxruntime-gpu" else original(name)
from rim_runtime.libraries.onnxruntime import import_onnxruntime
try:
    import_onnxruntime()
except Exception as error:
    print(type(error).__name__, error)
"""
    assert run_python(code, tmp_path).startswith(
        "UnavailableError onnxruntime and onnxruntime-gpu are both installed"
    )


def test_installed_wheels_are_found() -> None:
    assert onnxruntime.installed_wheels()["onnxruntime"] == metadata.version("onnxruntime")
    assert Telemetry.OFF.value == "off"
    assert issubclass(MissingExtraError, ImportError)
