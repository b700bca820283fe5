"""What each precision costs the demo, as its certificate says it on 1,000 fresh puzzles.

    python bench/precisions.py [--out FILE]

Letters, no times: it may run beside other work. About six minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import rim_export
from harness.machine import describe_machine
from rim_runtime.bundle.manifest import Precision

from rim_edge.demo.make import CHECKPOINT
from rim_edge.demo.make import HERE as DEMO
from rim_edge.puzzles.fresh import fresh_puzzles

HERE = Path(__file__).parent
CERTIFIED, CALIBRATED = 1_000, 32
INT4, FP8 = (
    rim_export.ExportOptions(precision=precision, max_flips=1.0) for precision in (Precision.INT4, Precision.FP8)
)
CHOICES = {
    "int8": rim_export.ExportOptions(max_flips=1.0),
    "fp8, `--ranges max` (default)": FP8,
    "fp8, `--ranges mse`": replace(FP8, ranges=rim_export.RangeMethod.MSE),
    "fp8, `--ranges percentile`": replace(FP8, ranges=rim_export.RangeMethod.PERCENTILE),
    "fp8, `--activations row`": replace(FP8, activations=rim_export.Activations.ROW),
    "int4, blocks of 128 (default)": INT4,
    "int4, blocks of 32": replace(INT4, block_size=32),
}
"""The table's rows: what is chosen, as the command line calls it."""


def write_puzzles(target: Path, count: int, seed: int) -> Path:
    """Write fresh puzzles of all families as a certificate's or a calibration's questions."""
    rows = (puzzle.row() for puzzle in fresh_puzzles(count, seed))
    target.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return target


def certify(options: rim_export.ExportOptions, folder: Path) -> rim_export.VariantCertificate:
    """Export the demo's checkpoint and return what its certificate says of the first variant."""
    options = replace(options, certify=write_puzzles(folder / "certify.jsonl", CERTIFIED, 51))
    if options.calibrates:
        options = replace(options, calibration=write_puzzles(folder / "calibration.jsonl", CALIBRATED, 52))
    return rim_export.export(DEMO / CHECKPOINT, folder / "bundle", options).certificate.variants[0]


def table_row(name: str, said: rim_export.VariantCertificate) -> str:
    """Return a row of the table in docs/precisions.md."""
    low, high = said.flips_interval
    cells = (
        name,
        f"{said.flips} of {said.n} ({low:.1%} to {high:.1%})",
        f"{said.mean_logit_error:.2f}",
        f"{said.costliest_layers[0].error:.1%}",
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Export in every precision, print the table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "precisions.json")
    options = parser.parse_args()
    rows = {}
    print("| arithmetic | letters changed | letter logits | costliest layer |\n| --- | --- | --- | --- |")
    for name, chosen in CHOICES.items():
        with tempfile.TemporaryDirectory() as folder:
            said = certify(chosen, Path(folder))
        rows[name] = asdict(said)
        print(table_row(name, said), flush=True)
    result = {"what": "the demo's variants against its checkpoint", "machine": describe_machine(), "rows": rows}
    options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
