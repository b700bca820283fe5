"""Our variants, exported through `rim_export.export`: once for letters, once with the full head."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import rim_export
from cpu_parts.ours import code_hash
from harness.made import CannotMakeError, hash_files, make_once
from harness.place import BENCH
from real_parts.candidate import Candidate
from real_parts.every_row import write_every_row
from real_parts.questions import rows_of
from real_parts.setting import Setting, our_worker_environment
from rim_export.questions import CERTIFICATE_SET
from rim_export.settings import AnswerForm
from rim_runtime import Bundle
from rim_runtime.bundle.manifest import Dialect, Head, Precision
from rim_runtime.errors import RimError

FP32 = "rim-edge fp32"
INT8 = "rim-edge int8"
FITTED = "rim-edge int4, blocks of 32, calibrated on GSM8K"
VARIANTS = {
    FP32: rim_export.ExportOptions(precision=Precision.FP32),
    INT8: rim_export.ExportOptions(precision=Precision.INT8),
    "rim-edge fp8": rim_export.ExportOptions(precision=Precision.FP8),
    "rim-edge int4, blocks of 128": rim_export.ExportOptions(precision=Precision.INT4, dialect=Dialect.ORT),
    "rim-edge int4, blocks of 32": rim_export.ExportOptions(
        precision=Precision.INT4, dialect=Dialect.ORT, block_size=32
    ),
    FITTED: rim_export.ExportOptions(precision=Precision.INT4, dialect=Dialect.ORT, block_size=32),
}
"""Everything else is the default: what is calibrated, is so on the medical questions that ship; FITTED on 64 of
the texts' own field, and its whole head on their solutions too."""
CALIBRATED_ON = 64
"""Questions that FITTED is calibrated on."""
LETTERS, FULL, ROWS = "letters", "full", "every-row.onnx"


def our_candidates(setting: Setting) -> list[Candidate]:
    """Return our variants, fp32 first."""
    return [_candidate(setting, name, options) for name, options in VARIANTS.items()]


def _candidate(setting: Setting, name: str, options: rim_export.ExportOptions) -> Candidate:
    folder = setting.made(name)
    worker = str(BENCH / "workers" / "real" / "answer_bundle.py")
    return Candidate(
        name,
        lambda: _make(setting, folder, options, fitted=name == FITTED),
        (sys.executable, worker, str(folder / LETTERS), str(folder / FULL), ROWS),
        our_worker_environment(setting.place),
        lambda: weight_files(folder / LETTERS),
        ours=True,
        exams=True,
    )


def weight_files(bundle: Path) -> tuple[Path, ...]:
    """Return a bundle's graph and weights."""
    variant = Bundle.load(bundle).manifest.variants[0]
    return bundle / variant.graph, bundle / variant.data


def _solutions(setting: Setting) -> Path:
    """Return the file of what FITTED is calibrated on: other questions than the texts. Raises CannotMakeError."""
    if not setting.solutions.is_file():
        raise CannotMakeError(f"{setting.solutions} is missing. Name rows to calibrate on: --solutions FILE")
    target = setting.work / "solutions.jsonl"
    rows = islice(rows_of(setting.solutions), CALIBRATED_ON)
    target.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return target


def _make(setting: Setting, folder: Path, options: rim_export.ExportOptions, *, fitted: bool) -> dict[str, Any]:
    questions = setting.work / "certified.jsonl"
    rows = CERTIFICATE_SET.read_text(encoding="utf-8").splitlines(keepends=True)
    questions.write_text("".join(rows[: setting.certified]), encoding="utf-8")

    def make(target: Path) -> dict[str, Any]:
        seconds = {}
        solutions = _solutions(setting) if fitted else None
        for name, head in ((LETTERS, Head.LETTERS), (FULL, Head.FULL)):
            started = time.perf_counter()
            chosen = replace(options, head=head, certify=questions, max_flips=1.0, calibration=solutions)
            if solutions and head is Head.FULL:  # what writes is measured on what it writes
                chosen = replace(chosen, answers=AnswerForm.TEXT)
            try:
                rim_export.export(setting.rim_checkpoint, target / name, chosen)
            except RimError as error:
                raise CannotMakeError(str(error)) from None
            seconds[name] = round(time.perf_counter() - started, 1)
        graph, _ = weight_files(target / FULL)
        write_every_row(graph, target / FULL / ROWS)
        return {"seconds": seconds}

    edit = hash_files(BENCH / "real_parts" / "every_row.py")
    recipe = f"{code_hash()} {options} {fitted} {setting.certified} {edit}"
    return make_once(folder, f"{recipe} of {setting.rim_checkpoint.stat().st_mtime_ns}", make)
