"""`rim-edge doctor`: works on every machine, with nothing installed and everything broken."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import Bundle, EngineName, EngineStatus
from rim_runtime.bundle import names
from rim_runtime.bundle.folder import save_manifest
from rim_runtime.bundle.manifest import Compute, Precision
from rim_runtime.engines import ort_cpu, registry
from rim_runtime.libraries.onnxruntime import import_onnxruntime
from rim_runtime.machine import gpu
from rim_runtime.machine.gpu import Gpu, Gpus

from rim_edge import machine
from rim_edge.cli import main
from rim_edge.extras import EXTRAS
from tests.places import REPOSITORY

Run = Callable[..., Any]


def test_json_is_the_contract(run: Run, demo_bundle: Path, own_home: Path) -> None:
    body = run("doctor", "--json").json
    assert list(body) == [
        "schema_version", "python", "platform", "cpu", "gpu", "libraries", "onnxruntime", "engines", "extras",
        "bundles", "bundles_trouble", "home", "cache", "advice",
    ]  # fmt: skip
    assert [engine["name"] for engine in body["engines"]] == ["ort-cpu", "openvino", "ort-cuda", "trt"]
    assert [engine["available"] for engine in body["engines"]] == [True, True, False, False]
    trials = [engine["trial"] for engine in body["engines"]]
    assert [trial and (trial["variant"], trial["trouble"]) for trial in trials] == [("fp32", None)] * 2 + [
        None
    ] * 2
    assert trials[0]["ms"] > 0
    assert [extra["name"] for extra in body["extras"]] == list(EXTRAS)
    assert body["onnxruntime"]["conflict"] is None
    assert body["onnxruntime"]["telemetry"] == "off"
    (bundle,) = body["bundles"]
    assert {key: bundle[key] for key in ("name", "path", "default", "trouble")} == {
        "name": "demo", "path": str(demo_bundle), "default": True, "trouble": None,
    }  # fmt: skip
    ready = {"name": "ort-cpu", "variant": "fp32", "ready": True, "detail": ""}
    assert bundle["engines"][0] == ready
    assert [engine["ready"] for engine in bundle["engines"]] == [True, True, False, False]
    assert body["gpu"] == {"driver": None, "cuda": None, "trouble": "There is no NVIDIA GPU.", "gpus": []}
    assert body["libraries"]["onnxruntime"] == metadata.version("onnxruntime")
    assert body["advice"] == []
    assert body["home"] == {"path": str(own_home), "trouble": None}
    assert body["cache"] == {"path": str(own_home / "cache"), "trouble": None}
    assert not own_home.exists(), "doctor leaves nothing behind"


def test_people_see_all_sections(run: Run, demo_bundle: Path) -> None:
    shown = run("doctor")
    assert shown.code == 0
    for title in ("machine", "libraries", "engines", "extras", "bundles", "folders"):
        assert f"\n{title}\n" in shown.out
    assert "ort-cpu     ✓ onnxruntime" in shown.out
    assert "openvino    ✓ openvino 2026." in shown.out
    assert "its usage reporting kept out" in shown.out
    assert "trt         – trt finds no GPU to run on." in shown.out
    assert "(answered in " in shown.out
    assert "(used by ask)" in shown.out


def test_without_onnx_runtime_and_torch(tmp_path: Path) -> None:
    code = """
import sys
sys.modules.update(dict.fromkeys(["onnxruntime", "openvino", "torch", "onnx"]))
from rim_edge.cli import main
main(["doctor", "--json"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 4, "nothing can answer"
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
    shown = run("doctor")
    assert shown.code == 0
    assert "state.json cannot be read" in shown.out
    assert "demo        /" in shown.out, "and the bundles are listed all the same"


class OldRuntime:
    """An onnxruntime that loads no bundle, as 1.20.1 is."""

    __version__ = "1.20.1"

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(import_onnxruntime(), name)

    def InferenceSession(self, *_: object, **__: object) -> None:  # noqa: N802 (its name)
        raise self.error


@pytest.mark.parametrize("error", [RuntimeError("Unsupported model IR version: 11"), MemoryError()])
def test_a_library_that_loads_no_bundle_gets_no_tick(
    run: Run, demo_bundle: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    old = OldRuntime(error)
    for module in (registry, ort_cpu):
        monkeypatch.setattr(module, "import_onnxruntime", lambda: old)
    engine = run("doctor", "--json").json["engines"][0]
    assert engine["available"] is False
    assert "onnxruntime 1.20.1 cannot load" in engine["trial"]["trouble"]
    assert engine["reason"].endswith('Run: pip install "rim-edge[cpu]"')
    shown = run("doctor").out
    assert "ort-cpu     ✗ onnxruntime 1.20.1 is here and does not answer." in shown
    assert "✓ ort-cpu" not in shown


def test_an_engine_that_answers_wrongly_gets_no_tick(
    run: Run, make_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = make_bundle(golden_letter="J")
    monkeypatch.setattr(names, "demo_folder", lambda: wrong)
    engine = run("doctor", "--json").json["engines"][0]
    assert engine["available"] is False
    assert "answered differently here" in engine["trial"]["trouble"]


def test_what_was_not_tried_is_not_ticked(run: Run, demo_bundle: Path, tiny_bundle: Path) -> None:
    run("bundle", "use", str(tiny_bundle))
    assert "○ ort-cpu fp32, openvino fp32 (not tried)" in run("doctor").out
    (demo_bundle / "tokenizer.json").write_text("altered")
    shown = run("doctor").out
    assert "ort-cpu     ○ onnxruntime" in shown
    assert "✓ ort-cpu" not in shown


def test_a_default_that_is_gone_is_said(run: Run, demo_bundle: Path, make_bundle: Callable[..., Path]) -> None:
    gone = make_bundle("gone")
    run("bundle", "use", str(gone))
    gone.rename(gone.parent / "elsewhere")
    shown = run("doctor").out
    assert "✗ it is gone" in shown
    assert "There is no bundle" in shown.partition("to do")[2]


def test_a_home_that_nobody_may_look_into(run: Run, demo_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = Path("/closed/home")
    monkeypatch.setenv("RIM_EDGE_HOME", str(closed))
    stat = Path.stat

    def looked_at(path: Path, **options: bool) -> os.stat_result:
        if path.is_relative_to(closed):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", looked_at)
    monkeypatch.setattr(Path, "exists", lambda path: bool(path.stat()))
    shown = run("doctor")
    assert shown.code == 0
    assert f"home        ✗ {closed}: {closed} cannot be used (Permission denied)" in shown.out


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("doctor",), ["ort-cpu     ok: onnxruntime", "trt         no: trt finds no GPU"]),
        (("bundle", "list"), ["* demo"]),
        (("bundle", "info"), ["8 x (2 memory tokens + 2)"]),
        (("ask", "Which.", "-c", "this", "-c", "that"), [" - 8 blocks - ort-cpu - fp32 - "]),
    ],
    ids=["doctor", "list", "info", "ask"],
)
def test_signs_are_words_where_there_is_only_ascii(
    demo_bundle: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], words: list[str]
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(SystemExit):
        main(command)
    stream.flush()
    told = stream.buffer.getvalue().decode()  # type: ignore[attr-defined]
    assert all(word in told for word in words)
    assert "?" not in told


def test_a_home_that_cannot_be_written(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RIM_EDGE_HOME", str(tmp_path / "file"))
    body = run("doctor", "--json").json
    assert body["home"]["trouble"] == f"{tmp_path / 'file'} is not a folder"
    assert (
        f"{tmp_path / 'file'} is not a folder. Set RIM_EDGE_HOME to a folder that can be written."
        in body["advice"]
    )
    assert not any("bundle use" in text for text in body["advice"]), "it could not remember the choice"
    assert body["cache"]["trouble"]


def test_two_wheels_are_named_with_the_repair(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "installed_wheels", lambda: {"onnxruntime": "1", "onnxruntime-gpu": "1"})
    shown = run("doctor")
    assert shown.code == 0
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in shown.out


def test_extras_are_those_of_the_project() -> None:
    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for name, modules in EXTRAS.items():
        packages = {line.partition(">")[0].strip().replace("-", "_") for line in declared[name]}
        assert set(modules) == {{"pyOpenSSL": "OpenSSL"}.get(package, package) for package in packages}, name


H200 = Gpu(0, "NVIDIA H200", (9, 0), 150_000_000_000)
RTX_4090 = Gpu(1, "NVIDIA GeForce RTX 4090", (8, 9), 25_000_000_000)
MACHINES = {
    "GPU without driver": (
        Gpus(
            None, None, (), "There is an NVIDIA GPU without a driver (libcuda.so.1 cannot be loaded). Install it."
        ),
        [
            "gpu         – There is an NVIDIA GPU without a driver",
            "to do\n              There is an NVIDIA GPU without",
        ],
    ),
    "broken CUDA": (
        Gpus("580.95", (13, 0), (), "CUDA does not start (libcuda.so.1 says error 999). Restart the machine."),
        [
            "gpu         – CUDA does not start",
            "driver      580.95, knows CUDA 13.0",
            "to do\n              CUDA does",
        ],
    ),
    "driver too old": (
        Gpus("570.86", (12, 8), (RTX_4090,), None),
        [
            "driver      570.86, knows CUDA 12.8",
            "ort-cuda    – ort-cuda needs CUDA 13.0",
            "The GPU is idle. ort-cuda",
        ],
    ),
    "two GPUs": (
        Gpus("580.95", (13, 0), (H200, RTX_4090), None),
        [
            "gpu 0       NVIDIA H200, sm_90, 150 GB\n",
            "gpu 1       NVIDIA GeForce RTX 4090, sm_89, 25 GB  (engines",
        ],
    ),
}


@pytest.mark.parametrize("case", MACHINES)
def test_machines_that_we_do_not_have(
    run: Run, demo_bundle: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    found, lines = MACHINES[case]
    monkeypatch.setattr(gpu, "look", lambda: found)
    shown = run("doctor")
    assert (shown.code, shown.err) == (0, "")
    for line in lines:
        assert line in shown.out
    assert run("doctor", "--json").json["gpu"]["driver"] == found.driver


def test_a_gpu_wheel_without_cudas_libraries(run: Run, demo_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = EngineStatus(EngineName.ORT_CUDA, True, "onnxruntime-gpu 1.31.1 on NVIDIA H200")
    monkeypatch.setattr(machine, "engine_statuses", lambda: (here,))
    monkeypatch.setattr(machine, "load_cuda_libraries", lambda: ("libcublas.so.13",))
    (engine,) = run("doctor", "--json").json["engines"]
    assert engine["available"] is False
    assert engine["reason"].endswith('misses libcublas.so.13. Run: pip install "rim-edge[gpu]"')


def test_which_bundle_is_ready_for_which_engine(
    run: Run, demo_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = Bundle.load(demo_bundle).manifest
    fp8 = dataclasses.replace(manifest.variants[0], name="fp8", precision=Precision.FP8, compute=Compute.FP16)
    save_manifest(demo_bundle, dataclasses.replace(manifest, variants=(fp8, *manifest.variants)))
    shown = run("doctor").out
    assert "✓ ort-cpu fp32, openvino fp32\n" in shown
    assert "– trt: fp8 is there, but the engine cannot run here\n" in shown
    assert "ort-cuda: " not in shown.partition("bundles")[2].partition("folders")[0]


def test_a_bundle_that_cannot_be_read(run: Run, demo_bundle: Path) -> None:
    (demo_bundle / "tokenizer.json").unlink()
    (bundle,) = run("doctor", "--json").json["bundles"]
    assert bundle["engines"] == []
    assert "tokenizer.json is missing" in bundle["trouble"]
    assert "tokenizer.json is missing" in run("doctor").out
