"""OpenVINO's own full int8 of our graph: NNCF's post-training quantization of our fp32 bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cpu_parts.environments import environment_python, make_environment
from cpu_parts.ours import FP32, bundle_path
from harness.made import CannotMakeError, hash_files, make_once, read_figures, run_measured
from harness.place import BENCH, Place, peer_environment
from harness.row import Missing, Row, row_name
from rim_export.questions import CALIBRATION_SET, read_questions
from rim_runtime import Bundle
from rim_runtime.loading.load import load_encoder

NAME = "nncf"
QUESTIONS = 32
MAKER = BENCH / "workers" / "quantize_nncf.py"


def make_nncf(place: Place, layers: int) -> dict[str, Any]:
    """Quantize our fp32 bundle of this many layers, unless it is done; return the figures."""
    bundle = bundle_path(place, FP32, layers)

    def make(target: Path) -> dict[str, Any]:
        if "failed" in (source := read_figures(bundle)):
            raise CannotMakeError(f"our fp32 bundle of {layers} layers: {source['failed']}")
        python = make_environment(place, NAME)
        target.mkdir()
        contract = target / "contract.json"
        contract.write_text(json.dumps(_contract(bundle, place.checkpoint(layers))))
        graph = bundle / Bundle.load(bundle).manifest.variants[0].graph
        command = [str(python), str(MAKER), str(graph), str(contract), str(target / "model.xml")]
        measured = run_measured(command, peer_environment(), place.log(f"nncf {layers}"))
        return {"seconds": measured["seconds"], "peak_gib": measured["peak_gib"]}

    pins = BENCH / "cpu_parts" / "peers" / f"{NAME}.txt"
    recipe = f"{hash_files(MAKER, pins)} of {read_figures(bundle).get('recipe')}"
    return make_once(place.made("nncf", layers, "int8"), recipe, make)


def _contract(bundle: Path, checkpoint: Path) -> dict[str, Any]:
    """Return what OpenVINO's processes must know of a prompt, and real questions to calibrate on."""
    loaded = Bundle.load(bundle)
    encoder = load_encoder(loaded)
    prompt = loaded.manifest.prompt
    questions = [encoder.encode(question.text) for question in read_questions(CALIBRATION_SET).asked[:QUESTIONS]]
    behind = len(prompt.suffix(prompt.blocks))
    config = json.loads((checkpoint / "config.json").read_text())
    return {
        "before": len(prompt.head),
        "behind": behind,
        "blocks": prompt.blocks,
        "questions": questions,
        "heads": [config[name] for name in ("num_attention_heads", "num_key_value_heads", "head_dim")],
    }


def nncf_row(place: Place, layers: int) -> Row | Missing:
    """Return the row of OpenVINO's own int8."""
    name = row_name("OpenVINO NNCF int8", layers, place.layers)
    folder = place.made("nncf", layers, "int8")
    figures = read_figures(folder)
    if "failed" in figures:
        return Missing(name, figures["failed"])
    python = environment_python(place, NAME)
    worker = str(BENCH / "workers" / "ask_openvino.py")
    command = (str(python), worker, str(folder / "model.xml"), str(folder / "contract.json"))
    return Row(name, command, peer_environment(), folder, layers, note="full int8 of our fp32 graph by NNCF")
