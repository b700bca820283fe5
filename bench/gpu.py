"""Side by side on a CUDA machine, in nine minutes: the model card's snippet, its forward pass, and our engines.

    python bench/gpu.py [--layers 28] [--minutes 9] [--work build/bench-gpu] [--out FILE]
    python bench/gpu.py --device cpu --layers 2 --quick     # shows that it works, measures nothing of a GPU

Qwen3-1.7B's geometry with seeded random weights, made here: no tokenizer, no network. Lengths 64, 152 and 512
tokens, batches of 1, 8 and 32; p50 and p99 by device events, and two floors of a forward pass: bytes over the
measured copy bandwidth, operations over the measured matrix rate. Memory is what each takes on top of what was in
use before it was loaded: of the device, or, on a CPU, of the process. An engine that does not run here is named,
with the reason; what failed is kept with its traceback. Results are written after each engine, so that a cut costs
only the last.

It needs this repository, torch for CUDA, transformers, safetensors, onnx, onnx-ir, onnxscript, ml-dtypes, numpy,
tokenizers and scipy. `ort-cuda` needs the wheel of onnxruntime-gpu 1.31 (256 MB) and CUDA's libraries, which torch
brings; where onnxruntime is installed, uninstall it first: the two own one folder, and both together are refused.
`trt` needs tensorrt-rtx-cu13 with its libs and bindings (97 MB), and cuda-bindings. Wheels may be unpacked into a
folder on PYTHONPATH; this repository need not be installed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "runtime"), str(ROOT / "export")]  # where nothing is installed

import torch  # noqa: E402
from gpu_parts.clock import Clock, summary  # noqa: E402
from gpu_parts.floors import Rates, floors_ms, measure_rates  # noqa: E402
from gpu_parts.memory import Baseline  # noqa: E402
from gpu_parts.model import Card, config_of, make_checkpoint, prompts  # noqa: E402
from gpu_parts.ours import BY_DEVICE, WEIGHT_BYTES, VariantWriter, ask, ask_rtx, engines_here, opened  # noqa: E402
from gpu_parts.report import print_result  # noqa: E402
from harness.machine import describe_machine  # noqa: E402
from rim_runtime.bundle.manifest import Precision  # noqa: E402
from rim_runtime.engines.names import EngineName  # noqa: E402

LENGTHS, BATCHES = (64, 152, 512), (1, 8, 32)
CARDS_SHARE = 0.4
"""Share of the time for the card's model; the rest is for the engines."""
GPU_ONLY = sorted({one for able in BY_DEVICE["cuda"].values() for one in able} - {Precision.FP16})
"""Precisions whose graphs a CPU does not run; on a CPU they are written, so that a slip there shows as well."""


@dataclass
class Bench:
    """What is measured, and what came out."""

    started: float
    clock: Clock
    layers: int
    cases: list[tuple[int, int]]
    rates: Rates
    rows: list[dict[str, Any]] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def measure(
        self, what: str, precision: Precision, work: Callable[[int, int], object], baseline: Baseline
    ) -> None:
        """Time one thing in every case there is time for."""
        for tokens, batch in self.cases:
            name = f"{what} {precision}, {tokens} tokens, batch {batch}"
            if self.clock.is_over:
                self.skipped[name] = "no time was left"
                continue
            try:
                times = self.clock.milliseconds(lambda tokens=tokens, batch=batch: work(tokens, batch))
            except Exception as error:  # noqa: BLE001 (the other cases go on)
                self.fail(name, error)
                continue
            floors = floors_ms(config_of(self.layers), batch, tokens, self.rates, WEIGHT_BYTES[precision])
            row = {"what": what, "precision": str(precision), "tokens": tokens, "batch": batch, **summary(times)}
            row |= {"memory_gib": baseline.taken_gib(), **floors}
            self.rows.append(row)
            self.say(f"{name}: {row['p50_ms']} ms, {row['memory_gib']} GiB")

    def fail(self, name: str, error: Exception) -> None:
        """Name what did not work, and keep where it failed."""
        self.skipped[name] = f"{type(error).__name__}: {str(error).strip()}".split("\n", 1)[0][:300]
        self.failures[name] = "".join(traceback.format_exception(error))
        self.say(f"{name}: {self.skipped[name]}")

    def say(self, text: str) -> None:
        """Report while it runs, with the seconds since the start."""
        print(f"{time.monotonic() - self.started:4.0f} s  {text}", file=sys.stderr, flush=True)


def main() -> None:
    """Measure, write JSON, print the table last."""
    options = _options()
    started = time.monotonic()
    quick = options.quick
    ends = started + 60 * options.minutes - 30
    clock = Clock(options.device, 2 if quick else 100, 1.0 if quick else 3.0, 0 if quick else 3, ends)
    cases = [(64, 1), (64, 2)] if quick else [(tokens, batch) for batch in BATCHES for tokens in LENGTHS]
    with torch.no_grad():
        bench = Bench(started, clock, options.layers, cases, measure_rates(clock))
        bench.say("rates are measured")
        checkpoint = make_checkpoint(options.work / f"checkpoint-{options.layers}", options.layers, options.device)
        bench.say("the checkpoint is made")
        bench.clock = clock.until(CARDS_SHARE)
        _measure_card(bench, checkpoint)
        bench.clock = clock
    remarks: dict[str, Any] = {}
    for _ in _measure_ours(bench, checkpoint, options.work, remarks):
        _write(_result(options, bench, remarks, started), options.out)
    result = _result(options, bench, remarks, started)
    _write(result, options.out)
    print_result(result)


def _result(options: argparse.Namespace, bench: Bench, remarks: dict[str, Any], started: float) -> dict[str, Any]:
    return {
        "what": f"Qwen3-1.7B geometry, {options.layers} layers, random weights",
        "device": _device(options.device),
        "machine": describe_machine(),
        "rates": bench.rates.to_json(),
        "rows": bench.rows,
        "skipped": bench.skipped,
        "failures": bench.failures,
        "remarks": remarks,
        "minutes": round((time.monotonic() - started) / 60, 1),
    }


def _write(result: dict[str, Any], out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=list(BY_DEVICE), default="cuda")
    parser.add_argument("--layers", type=int, default=28)
    parser.add_argument("--minutes", type=float, default=9.0, help="when it has to be done")
    parser.add_argument("--quick", action="store_true", help="two cases, two runs each")
    parser.add_argument("--work", type=Path, default=Path("build/bench-gpu"))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("There is no CUDA device that PyTorch can use. To try the benchmark itself: --device cpu")
    name = _device(options.device)["name"].lower().replace(" ", "-")
    options.out = options.out or (ROOT / "bench" / "results" / f"gpu-{name}.json" if options.device == "cuda"
                                  else options.work / "gpu-on-cpu.json")  # fmt: skip
    os.environ.setdefault("RIM_EDGE_HOME", str(options.work.absolute() / "home"))  # plans are kept there
    return options


def _measure_card(bench: Bench, checkpoint: Path) -> None:
    baseline = Baseline.now(bench.clock.device)
    card, device = Card(checkpoint, bench.clock.device), bench.clock.device
    asked = {(tokens, batch): prompts(batch, tokens, device) for tokens, batch in bench.cases}
    bench.measure("forward", card.precision, lambda tokens, batch: card.forward(asked[tokens, batch]), baseline)
    bench.measure("snippet", card.precision, lambda tokens, batch: card.snippet(asked[tokens, batch]), baseline)


def _measure_ours(bench: Bench, checkpoint: Path, work: Path, remarks: dict[str, Any]) -> Iterator[None]:
    """Measure every engine that runs here in every precision; yield after each."""
    able, lacking = engines_here(bench.clock.device)
    bench.skipped |= lacking
    remarks["tensorrt-rtx"] = ask_rtx()
    if not able:
        return
    writer = VariantWriter.open(checkpoint, work / f"bundle-{bench.layers}", bench.layers)
    bench.say("the graph is converted")
    for name in able:
        for precision in BY_DEVICE[bench.clock.device][name]:
            what = f"{name} {precision}"
            if bench.clock.is_over:
                bench.skipped[what] = "no time was left"
                continue
            try:
                remarks[what] = _measure_engine(bench, writer, name, precision)
            except Exception as error:  # noqa: BLE001 (it may not take this variant; the others go on)
                bench.fail(what, error)
            yield
    for precision in GPU_ONLY if bench.clock.device == "cpu" else ():
        try:
            remarks[str(precision)] = (
                f"its graph is written ({writer.write(precision).path.name}); a GPU has to run it"
            )
        except Exception as error:  # noqa: BLE001 (the others go on)
            bench.fail(str(precision), error)


def _measure_engine(bench: Bench, writer: VariantWriter, name: EngineName, precision: Precision) -> dict[str, Any]:
    started = time.monotonic()
    bundle = writer.write(precision)
    written = time.monotonic()
    baseline = Baseline.now(bench.clock.device)
    with opened(bundle, name) as backend:
        loaded, held = time.monotonic(), baseline.taken_gib()
        bench.say(f"{name} {precision} is loaded")
        bench.measure(name, precision, lambda tokens, batch: ask(backend, batch, tokens), baseline)
        notes = list(getattr(backend, "notes", ()))
        most = baseline.taken_gib()
    return {
        "write_s": round(written - started, 1),
        "load_s": round(loaded - written, 1),
        "weights_gib": round(bundle.manifest.files[bundle.manifest.variants[0].data].bytes / 2**30, 3),
        "loaded_gib": held,
        "asked_gib": most,
        "left_gib": baseline.taken_gib(),
        "notes": notes,
    }


def _device(device: str) -> dict[str, Any]:
    if device != "cuda":
        return {"name": "cpu", "note": "no GPU: these figures show that the benchmark works, nothing else"}
    found = torch.cuda.get_device_properties(0)
    return {
        "name": found.name,
        "capability": f"{found.major}.{found.minor}",
        "memory_gib": round(found.total_memory / 2**30, 1),
        "torch": torch.__version__,
    }


if __name__ == "__main__":
    main()
