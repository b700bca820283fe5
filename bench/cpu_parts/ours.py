"""Our bundles: exported once by `rim-edge export`, and the rows that ask them."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rim_export
import rim_runtime
from harness.made import hash_files, make_once, read_figures, run_measured
from harness.place import BENCH, Place, our_environment
from harness.row import Missing, Row, row_name
from rim_export import questions

import rim_edge

ORT_CPU, OPENVINO = "ort-cpu", "openvino"


@dataclass(frozen=True)
class Variant:
    """A bundle of ours."""

    name: str
    """Its precision, which names it."""
    options: tuple[str, ...]
    """What `rim-edge export` is told beside the model."""


INT8 = Variant("int8", ("--precision", "int8"))
INT4 = Variant("int4", ("--precision", "int4", "--dialect", "ort"))
FP8 = Variant("fp8", ("--precision", "fp8"))
FP32 = Variant("fp32", ("--precision", "fp32"))
VARIANTS = (INT8, INT4, FP8, FP32)
SLICE_EXAM = 32
"""Questions of a slice's certificate: it is there for its speed only."""


def bundle_path(place: Place, variant: Variant, layers: int) -> Path:
    """Return the folder of a bundle of ours, exported or not."""
    return place.made("ours", layers, variant.name)


def export_bundle(place: Place, variant: Variant, layers: int) -> dict[str, Any]:
    """Export a bundle, unless this very code did; return its figures: seconds, peak memory, certificate."""
    source = place.checkpoint(layers)
    log = place.log(f"export {variant.name} {layers}")

    exam = SLICE_EXAM if layers != place.layers else place.exam

    def make(target: Path) -> dict[str, Any]:
        command = [sys.executable, "-m", "rim_edge", "export", "--model", str(source), "-o", str(target)]
        # A random model's letters are near-ties: any share of them may flip.
        command += [*variant.options, *_exam_options(place, variant, exam), "--max-flips", "1.0", "--json"]
        measured = run_measured(command, our_environment(place.home), log)
        report = json.loads(measured.pop("output"))
        return {**measured, "certificate": report["certificate"]["variants"][0]}

    return make_once(bundle_path(place, variant, layers), f"{code_hash()} {variant.options} {exam}", make)


def _exam_options(place: Place, variant: Variant, exam: int | None) -> list[str]:
    """Return the options for a short certificate, and for as few calibration questions where some are used."""
    if exam is None:
        return []
    options = ["--certify", str(_first_rows(place, questions.CERTIFICATE_SET, exam))]
    if variant is FP8:
        options += ["--calibration", str(_first_rows(place, questions.CALIBRATION_SET, exam))]
    return options


def _first_rows(place: Place, file: Path, count: int) -> Path:
    short = place.work / f"{file.stem}-{count}.jsonl"
    rows = file.read_text(encoding="utf-8").splitlines(keepends=True)[:count]
    short.write_text("".join(rows), encoding="utf-8")
    return short


def code_hash() -> str:
    """Return a hash of the code that decides what a bundle holds: the exporter and the manifest's form."""
    exporter = Path(rim_export.__file__).parent.rglob("*.py")
    cli = Path(rim_edge.__file__).parent / "cli"
    return hash_files(
        *exporter,
        cli / "export.py",
        *(cli / "exporting").glob("*.py"),
        Path(rim_runtime.__file__).parent / "bundle" / "manifest.py",
    )


def our_row(place: Place, variant: Variant, layers: int, engine: str = ORT_CPU) -> Row | Missing:
    """Return the row of a bundle on an engine."""
    name = row_name(f"rim-edge {variant.name} {engine}", layers, place.layers)
    model = bundle_path(place, variant, layers)
    figures = read_figures(model)
    if "failed" in figures:
        return Missing(name, figures["failed"])
    command = (sys.executable, str(BENCH / "workers" / "ask_bundle.py"), str(model), engine)
    return Row(name, command, our_environment(place.home), model, layers, ours=True)
