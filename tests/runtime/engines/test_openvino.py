"""OpenVINO answers like ONNX Runtime and the checkpoint do, alone and in batches, and reports nothing."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from rim_runtime import (
    Bundle,
    Dialect,
    Engine,
    EngineClosedError,
    EngineUnavailableError,
    Head,
    Question,
    SelfTestError,
)
from rim_runtime.engines.backend import EngineOptions
from rim_runtime.engines.openvino import OpenVinoBackend
from rim_runtime.engines.registry import is_installed

from rim_edge.puzzles.fresh import fresh_puzzles
from tests.places import DEMO_FOLDER

MakeBundle = Callable[..., Path]
STEM = "Which vitamin deficiency causes scurvy?"


def run_python(code: str, home: Path) -> str:
    """Run code in a fresh process with an empty home; return what it printed."""
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=_environment(home),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _environment(home: Path) -> dict[str, str]:
    dropped = ("RIM_EDGE", "XDG", "CI")
    return {key: value for key, value in os.environ.items() if not key.startswith(dropped)} | {"HOME": str(home)}


@pytest.mark.parametrize("head", list(Head))
def test_it_answers_like_ort_cpu(make_bundle: MakeBundle, head: Head) -> None:
    bundle = make_bundle(head=head)
    questions = [Question("why " * (1 + number)) for number in range(24)]
    with Engine.load(bundle, engine="openvino") as one, Engine.load(bundle, engine="ort-cpu") as other:
        assert (one.name, one.precision, one.notes) == ("openvino", "fp32", ())
        for mine, theirs in zip(one.ask_many(questions), other.ask_many(questions), strict=True):
            assert mine.letter == theirs.letter
            assert mine.letter_logits == pytest.approx(theirs.letter_logits, abs=1e-3)


def test_the_demo_has_the_same_letters_on_both() -> None:
    questions = [Question(puzzle.question) for puzzle in fresh_puzzles(64, seed=20_254)]
    with (
        Engine.load(DEMO_FOLDER, engine="openvino") as one,
        Engine.load(DEMO_FOLDER, engine="ort-cpu") as other,
    ):
        mine, theirs = one.ask_many(questions), other.ask_many(questions)
    assert [answer.letter for answer in mine] == [answer.letter for answer in theirs]


def test_many_threads_get_their_own_answers() -> None:
    questions = [puzzle.question for puzzle in fresh_puzzles(32, seed=20_255)]
    with Engine.load(DEMO_FOLDER, engine="openvino") as engine, ThreadPoolExecutor(8) as pool:
        expected = [engine.ask(question).letter_logits for question in questions]
        found = [answer.letter_logits for answer in pool.map(engine.ask, questions)]
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, abs=1e-4)


def test_a_closed_engine_says_so(tiny_bundle: Path) -> None:
    bundle = Bundle.load(tiny_bundle)
    backend = OpenVinoBackend(bundle, bundle.variant(), EngineOptions(threads=1))
    assert backend.fingerprint.startswith("openvino 2026.")
    backend.close()
    with pytest.raises(EngineClosedError):
        backend.run(np.array([[1]]), np.array([1]), np.array([8]))


def test_golden_questions_are_put_to_it(make_bundle: MakeBundle) -> None:
    with pytest.raises(SelfTestError, match="by openvino at fp32"):
        Engine.load(make_bundle(golden_letter="J"), engine="openvino")
    with pytest.raises(SelfTestError, match="4 of 4 golden questions"):
        Engine.load(make_bundle("nan", nan=True, golden_letter="A"), engine="openvino")


def test_auto_chooses_between_the_real_two(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rim_runtime.engines.registry.is_installed", is_installed)
    with Engine.load(tiny_bundle) as first, Engine.load(tiny_bundle) as second:
        assert first.name == second.name
        assert first.notes[0].startswith(f"auto took {first.name}: ")
        assert second.notes == ()


def test_without_onnx_runtime_it_is_enough(tiny_bundle: Path, tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules["onnxruntime"] = None
from rim_runtime import Engine
with Engine.load({str(tiny_bundle)!r}) as engine:
    print(engine.ask("Why?").engine, engine.notes)
"""
    assert run_python(code, tmp_path / "home") == "openvino ()"


def test_without_it_the_command_is_told(tiny_bundle: Path, tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules["openvino"] = None
from rim_edge.cli import main
main(["ask", "Why?", "--bundle", {str(tiny_bundle)!r}, "--engine", "openvino"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=_environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 4
    assert (
        'The engine openvino needs what is not installed here: openvino. Run: pip install "rim-edge[openvino]"'
        in (" ".join(done.stderr.split()))
    )


def test_its_import_reports_nothing_and_leaves_the_host_as_it_was(tmp_path: Path) -> None:
    code = """
import sys
from rim_runtime.libraries.openvino import host_reports, import_openvino
import_openvino()
print(host_reports(), "openvino_telemetry" in sys.modules)
import openvino_telemetry
import openvino
print(openvino.convert_model.__name__)
"""
    home = tmp_path / "home"
    assert run_python(code, home) == "False False\nconvert_model"
    assert not [path for path in home.rglob("*") if path.is_file()]


def test_a_host_that_imported_it_first_is_told(tiny_bundle: Path, tmp_path: Path) -> None:
    # The host's own reporter would look for a network: a stand-in takes its place.
    (tmp_path / "openvino_telemetry").mkdir()
    (tmp_path / "openvino_telemetry" / "__init__.py").write_text("raise ImportError\n")
    code = f"""
import sys, types
sys.path.insert(0, {str(tmp_path)!r})
import openvino
sys.modules["openvino_telemetry"] = types.ModuleType("openvino_telemetry")
from rim_runtime import Engine
with Engine.load({str(tiny_bundle)!r}, engine="openvino") as engine:
    print(*engine.notes)
"""
    told = run_python(code, tmp_path / "home")
    assert told.startswith("openvino was imported before rim_runtime with its usage reporting")


def test_a_folder_that_a_wheel_left_behind(tmp_path: Path) -> None:
    (tmp_path / "openvino").mkdir()
    (tmp_path / "openvino" / "__init__.py").touch()
    code = f"""
import sys; sys.path.insert(0, {str(tmp_path)!r})
from rim_runtime.libraries.openvino import import_openvino
try:
    import_openvino()
except Exception as error:
    print(type(error).__name__, error)
"""
    told = run_python(code, tmp_path / "home")
    assert told.startswith("EngineUnavailableError The folder of openvino is damaged. Install it again")


def test_a_graph_in_another_dialect_is_refused(tiny_bundle: Path) -> None:
    manifest = tiny_bundle / "manifest.json"
    loaded = Bundle.load(tiny_bundle).manifest
    only_ort = dataclasses.replace(loaded.variants[0], dialect=Dialect.ORT)
    manifest.write_text(dataclasses.replace(loaded, variants=(only_ort,)).to_json(), encoding="utf-8")
    with pytest.raises(EngineUnavailableError, match=r"openvino cannot run .*dialect ort, expected portable"):
        Engine.load(tiny_bundle, engine="openvino")
    Engine.load(tiny_bundle, engine="ort-cpu").close()


@pytest.mark.parametrize("loads", [1, 2])
def test_a_later_load_answers_like_the_first(own_home: Path, loads: int) -> None:
    """Questions of many lengths: a compiled graph that was kept and loaded again got them wrong."""
    questions = [Question("why " * (1 + number)) for number in range(24)]
    for _ in range(loads):
        with Engine.load(DEMO_FOLDER, engine="openvino") as one:
            found = one.ask_many(questions)
    with Engine.load(DEMO_FOLDER, engine="ort-cpu") as other:
        for mine, theirs in zip(found, other.ask_many(questions), strict=True):
            assert mine.letter_logits == pytest.approx(theirs.letter_logits, abs=0.3)
    assert {path.name for path in (own_home / "cache").iterdir()} == {"selftests"}
