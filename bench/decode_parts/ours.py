"""Our bundles: exported once by `rim-edge export --answers text`, and the rows that write with them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx_ir as ir
from cpu_parts.ours import code_hash
from decode_parts.setting import Model, Setting
from decode_parts.writer import Writer
from harness.made import make_once, run_measured
from harness.place import BENCH, our_environment
from real_parts.setting import our_worker_environment
from rim_export.questions import CERTIFICATE_SET
from rim_runtime import Bundle
from rim_runtime.bundle.roles import Role, graph_of

FP32, INT8, INT4, INT4_32 = "rim-edge fp32", "rim-edge int8", "rim-edge int4", "rim-edge int4, blocks of 32"
OPTIONS: Mapping[str, tuple[str, ...]] = {
    FP32: ("--precision", "fp32"),
    INT8: ("--precision", "int8"),
    INT4: ("--precision", "int4", "--dialect", "ort"),
    INT4_32: ("--precision", "int4", "--dialect", "ort", "--block-size", "32"),
}
"""Rows, and what `rim-edge export` is told for each."""
FOR_SPEED = ("--answers", "text", "--blocks", "0", "--max-flips", "1.0")
"""No memory blocks, so that everybody reads the same prompt; random weights' letters are near-ties."""


def our_writer(setting: Setting, model: Model, name: str) -> Writer:
    """Return one of OPTIONS."""
    folder = setting.made(model, name)
    worker = str(BENCH / "workers" / "decode" / "write_bundle.py")
    return Writer(
        name,
        lambda: _make(setting, model, name, folder),
        (sys.executable, worker, str(folder)),
        our_worker_environment(setting.place),
        folder,
        ours=True,
    )


def _make(setting: Setting, model: Model, name: str, folder: Path) -> dict[str, Any]:
    options = [*OPTIONS[name], *FOR_SPEED]
    if name != FP32:
        options += ["--rounding", "nearest"]  # the same bytes at the same speed, sooner

    def make(target: Path) -> dict[str, Any]:
        few = setting.work / f"certified-{model.certified}.jsonl"
        rows = CERTIFICATE_SET.read_text(encoding="utf-8").splitlines(keepends=True)
        few.write_text("".join(rows[: model.certified]), encoding="utf-8")
        command = [sys.executable, "-m", "rim_edge", "export", "--model", str(model.checkpoint), "-o", str(target)]
        command += [*options, "--certify", str(few), "--json"]
        log = setting.place.log(f"{model.name} {name}")
        measured = run_measured(command, our_environment(setting.place.home), log)
        return {"seconds": measured["seconds"], "peak_gib": measured["peak_gib"]}

    return make_once(folder, f"{code_hash()} {options} of {model.checkpoint}", make)


def bytes_a_token(folder: Path) -> int:
    """Return the bytes of the weights that a bundle's decoder reads for every token: all but the token table."""
    bundle = Bundle.load(folder)
    decoder = graph_of(bundle.manifest, bundle.manifest.variants[0], Role.DECODER)
    assert decoder is not None
    values = ir.load(folder / decoder.graph).graph.initializers.values()
    read = (one for one in values if all(use.node.op_type != "Gather" for use in one.uses()))
    return sum(one.const_value.nbytes for one in read if one.const_value is not None)
