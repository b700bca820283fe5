"""The quantizers that people would otherwise take, each on the same fp32 weights, each by its own tools."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cpu_parts.environments import environment_python, make_environment
from cpu_parts.peers.llama_cpp import BUILD, TYPES
from harness.made import hash_files, make_once, read_figures, run_measured
from harness.place import BENCH
from real_parts.candidate import Candidate
from real_parts.ours import FP32, FULL, LETTERS, ROWS, weight_files
from real_parts.questions import calibration_of
from real_parts.setting import Setting, our_worker_environment, worker_environment

WORKERS = BENCH / "workers" / "real"
ORT = "ONNX Runtime dynamic int8"
GRAPHS = (LETTERS, "rows")
"""Both of our fp32 graphs are quantized: the one that answers, and the one that reads out every row of a text."""


@dataclass(frozen=True)
class OnnxTool:
    """A quantizer that takes our fp32 ONNX graphs."""

    script: str
    """Its worker."""
    ending: str
    """What its models are called."""
    answering: str
    """The worker that answers with them."""
    environment: str | None
    """The environment it needs; None: ours."""
    more: tuple[str, ...] = ()
    """What its command line is told besides."""
    note: str = ""
    """What a reader must know."""


LISTS = BENCH / "cpu_parts" / "peers"
PINS = {
    name: tuple(line for line in (LISTS / f"{name}.txt").read_text().split() if "==" in line)
    for name in ("llama_cpp", "nncf", "optimum")
}
"""What each environment of the comparators holds."""
TOOLS = {
    ORT: OnnxTool("quantize_ort.py", "onnx", "answer_onnx.py", None, note="quantize_dynamic, per channel"),
    "optimum avx512_vnni": OnnxTool(
        "quantize_optimum.py", "onnx", "answer_onnx.py", "optimum", note="ORTQuantizer, dynamic, per channel"
    ),
    "OpenVINO int8 weights": OnnxTool(
        "quantize_openvino.py",
        "xml",
        "answer_openvino.py",
        "nncf",
        ("weights",),
        "nncf.compress_weights INT8_ASYM",
    ),
    "OpenVINO NNCF int8": OnnxTool(
        "quantize_openvino.py",
        "xml",
        "answer_openvino.py",
        "nncf",
        ("full",),
        "nncf.quantize, ModelType.TRANSFORMER",
    ),
}


def peer_candidates(setting: Setting) -> list[Candidate]:
    """Return the comparators."""
    tools = [_tool_candidate(setting, name, tool) for name, tool in TOOLS.items()]
    return tools + [_llama_candidate(setting, kind) for kind in TYPES]


def _tool_candidate(setting: Setting, name: str, tool: OnnxTool) -> Candidate:
    folder = setting.made(name)
    models = {graph: folder / f"{graph}.{tool.ending}" for graph in GRAPHS}
    answering = "nncf" if tool.environment == "nncf" else None
    return Candidate(
        name,
        lambda: _made_by_tool(setting, folder, models, tool),
        (_python(setting, answering), str(WORKERS / tool.answering), *(str(models[graph]) for graph in GRAPHS)),
        _environment(setting, answering),
        lambda: tuple(folder.glob(f"{LETTERS}.*")),
        exams=name == ORT,
        note=tool.note,
    )


def _python(setting: Setting, environment: str | None) -> str:
    return str(environment_python(setting.environments, environment)) if environment else sys.executable


def _environment(setting: Setting, environment: str | None) -> dict[str, str]:
    return worker_environment() if environment else our_worker_environment(setting.place)


def _made_by_tool(setting: Setting, folder: Path, models: dict[str, Path], tool: OnnxTool) -> dict[str, Any]:
    source = setting.made(FP32)
    if "failed" in (figures := read_figures(source)):
        return {"failed": f"our fp32 graphs: {figures['failed']}"}

    def make(target: Path) -> dict[str, Any]:
        if tool.environment:
            make_environment(setting.environments, tool.environment)
        target.mkdir()
        graphs = {LETTERS: weight_files(source / LETTERS)[0], "rows": source / FULL / ROWS}
        calibration = target / "calibration.json"
        calibration.write_text(json.dumps(calibration_of(setting, source / LETTERS)))
        python, script = _python(setting, tool.environment), str(WORKERS / tool.script)
        measured = {}
        for graph, file in graphs.items():
            command = [python, script, str(file), str(models[graph])]
            command += [*tool.more, str(calibration)] if tool.more else []
            log = setting.place.log(f"{folder.name} {graph}")
            measured[graph] = run_measured(command, _environment(setting, tool.environment), log)
        return _figures(measured)

    pins = [LISTS / f"{tool.environment}.txt"] if tool.environment else []
    return make_once(folder, f"{hash_files(WORKERS / tool.script, *pins)} of {figures['recipe']}", make)


def _figures(measured: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "seconds": {graph: one["seconds"] for graph, one in measured.items()},
        "peak_gib": max(one["peak_gib"] for one in measured.values()),
    }


def _llama_candidate(setting: Setting, kind: str) -> Candidate:
    name = f"llama.cpp {kind}"
    folder = setting.made(name)
    model = folder / f"{kind}.gguf"
    python = _python(setting, "llama_cpp")

    def make(target: Path) -> dict[str, Any]:
        make_environment(setting.environments, "llama_cpp", BUILD)
        target.mkdir()
        command = [python, str(WORKERS / "make_llama_gguf.py"), str(setting.rim_checkpoint), str(model), kind]
        return _figures({kind: run_measured(command, worker_environment(), setting.place.log(folder.name))})

    files = (WORKERS / "make_llama_gguf.py", LISTS / "llama_cpp.txt")
    return Candidate(
        name,
        lambda: make_once(folder, f"{hash_files(*files)} of {setting.rim_checkpoint.stat().st_mtime_ns}", make),
        (python, str(WORKERS / "answer_llama_cpp.py"), str(model)),
        worker_environment(),
        lambda: (model,),
        note="its bytes hold the whole output projection, tied to the table",
    )
