"""What `rim-edge export --engine trt` takes at Qwen3-1.7B's geometry, on a machine that needs no GPU.

    python bench/plans.py --tokenizer DIR [--layers 28] [--only int8,fp8] [--work DIR] [--out FILE]

Seeded random weights, the default targets of each precision, a certificate of 60 short questions: it says nothing
about answers here, and every export pays for it alike. A row that is measured again replaces its old one.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from cpu_parts.checkpoint import make_checkpoint
from harness.machine import describe_machine
from harness.made import run_measured
from harness.place import BENCH, our_environment

PRECISIONS = ("fp8", "int8", "fp16", "bf16", "int4", "nvfp4")
ASKED, CALIBRATED = 60, 8


def write_questions(target: Path, count: int, what: str) -> Path:
    """Write short questions with four options each."""
    options = dict(zip("ABCD", ("one", "two", "three", "four"), strict=True))
    rows = ({"question": f"Which {what} follows {number}?", "options": options} for number in range(count))
    target.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return target


def measure(checkpoint: Path, precision: str, work: Path) -> dict[str, Any]:
    """Export with plans, in a process of its own; return seconds, peak memory and bytes, and delete the bundle."""
    target = work / f"plans-{precision}"
    shutil.rmtree(target, ignore_errors=True)
    command = [sys.executable, "-m", "rim_edge", "export", "--model", str(checkpoint), "-o", str(target), "--json"]
    command += ["--engine", "trt", "--precision", precision, "--max-flips", "1"]
    command += ["--certify", str(write_questions(work / "asked.jsonl", ASKED, "number"))]
    if precision != "bf16":
        command += ["--calibration", str(write_questions(work / "calibration.jsonl", CALIBRATED, "figure"))]
    figures = run_measured(command, our_environment(work / "home"), work / f"plans-{precision}.log")
    said = json.loads(figures.pop("output"))
    shutil.rmtree(target)
    (plan,) = said["plans"]
    (built,) = (found[1] for note in said["notes"] if (found := re.search(r"built in ([\d,]+) s", note)))
    return {
        "targets": plan["targets"],
        "plan_seconds": int(built.replace(",", "")),
        "plan_bytes": plan["bytes"],
        "export_seconds": figures["seconds"],
        "export_peak_gib": figures["peak_gib"],
    }


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--tokenizer", type=Path, required=True, help="folder with Qwen3-1.7B's tokenizer and config"
    )
    parser.add_argument("--layers", type=int, default=28)
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(PRECISIONS))
    parser.add_argument("--remark", help="what a reader of these rows should know")
    parser.add_argument("--work", type=Path, default=Path("build/bench"))
    parser.add_argument("--out", type=Path, default=BENCH / "results" / "plans.json")
    options = parser.parse_args()
    work = options.work.absolute()
    checkpoint = make_checkpoint(work / f"checkpoint-{options.layers}", options.tokenizer, options.layers)
    rows = json.loads(options.out.read_text())["rows"] if options.out.is_file() else {}
    print("| precision | targets | plan | built in | whole export | peak |\n| --- | --- | --- | --- | --- | --- |")
    for precision in options.only:
        row = rows[precision] = {"layers": options.layers} | measure(checkpoint, precision, work)
        if options.remark:
            row["remark"] = options.remark
        print(
            f"| {precision} | {', '.join(row['targets'])} | {row['plan_bytes'] / 1e9:.2f} GB "
            f"| {row['plan_seconds']} s | {row['export_seconds']:.0f} s | {row['export_peak_gib']:.1f} GiB |",
            flush=True,
        )
        result = {"what": "rim-edge export --engine trt", "machine": describe_machine(), "rows": rows}
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
