"""onnxruntime-genai: the decoder graph of its own model builder, weight-only int4 and int8."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from cpu_parts.environments import environment_python, make_environment
from harness.made import hash_files, make_once, read_figures, run_measured
from harness.place import BENCH, Place, peer_environment
from harness.row import Missing, Row, row_name

NAME = "genai"
PRECISIONS = ("int4", "int8")
OPTIONS = ("prune_lm_head=true",)
"""Logits of the last row only; the rest is the builder's default for the CPU (blocks of 32, int8 products)."""


def make_genai(place: Place, layers: int, precision: str) -> dict[str, Any]:
    """Build a model of one precision, unless it is there; return its figures."""

    def make(target: Path) -> dict[str, Any]:
        python = make_environment(place, NAME)
        scratch = target.with_name(f"{target.name}.cache")
        command = [str(python), "-m", "onnxruntime_genai.models.builder", "-i", str(place.checkpoint(layers))]
        command += ["-o", str(target), "-p", precision, "-e", "cpu", "-c", str(scratch)]
        command += ["--extra_options", *OPTIONS]
        try:
            measured = run_measured(command, peer_environment(), place.log(f"genai {precision} {layers}"))
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return {"seconds": measured["seconds"], "peak_gib": measured["peak_gib"]}

    recipe = f"{hash_files(BENCH / 'cpu_parts' / 'peers' / f'{NAME}.txt')} {OPTIONS}"
    return make_once(place.made("genai", layers, precision), recipe, make)


def genai_row(place: Place, layers: int, precision: str) -> Row | Missing:
    """Return the row of one precision."""
    name = row_name(f"onnxruntime-genai {precision}", layers, place.layers)
    model = place.made("genai", layers, precision)
    figures = read_figures(model)
    if "failed" in figures:
        return Missing(name, figures["failed"])
    python = environment_python(place, NAME)
    command = (str(python), str(BENCH / "workers" / "ask_genai.py"), str(model))
    return Row(name, command, peer_environment(), model, layers)
