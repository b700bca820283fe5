"""Side by side on a CUDA machine, in nine minutes: the model card's snippet, its forward pass, and our engines.

    python bench/gpu.py [--layers 28] [--minutes 9] [--work build/bench-gpu] [--out FILE]
    python bench/gpu.py --device cpu --layers 2 --quick     # shows that it works, measures nothing of a GPU

Qwen3-1.7B's geometry with seeded random weights, made here: no tokenizer, no network. Lengths 64, 152 and 512
tokens, batches of 1, 8 and 32; p50 and p99 by device events, memory, and two floors of a forward pass: bytes over
the measured copy bandwidth, operations over the measured matrix rate. An engine that does not run here is named,
with the reason.

It needs this repository, torch for CUDA, transformers, safetensors, onnx, onnx-ir, onnxscript, ml-dtypes, numpy,
tokenizers and scipy. `ort-cuda` needs the wheel of onnxruntime-gpu 1.31 (256 MB) and CUDA's libraries, which torch
brings; where onnxruntime is installed, uninstall it first: the two own one folder, and both together are refused.
`trt` needs tensorrt-rtx-cu13 with its libs and bindings (97 MB), and cuda-bindings. Wheels may be unpacked into a
folder on PYTHONPATH; this repository need not be installed.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "runtime"), str(ROOT / "export")]  # where nothing is installed

import torch  # noqa: E402
from gpu_parts.clock import Clock, summary  # noqa: E402
from gpu_parts.floors import Rates, floors_ms, measure_rates  # noqa: E402
from gpu_parts.model import Card, config_of, make_checkpoint, prompts  # noqa: E402
from gpu_parts.ours import BY_DEVICE, WEIGHT_BYTES, VariantWriter, ask, ask_rtx, engines_here, opened  # noqa: E402
from harness.machine import describe_machine  # noqa: E402
from rim_runtime.bundle.manifest import Precision  # noqa: E402
from rim_runtime.engines.names import EngineName  # noqa: E402

LENGTHS, BATCHES = (64, 152, 512), (1, 8, 32)
TARGET = (152, 1)
"""Length and batch of the targets: 8 × the snippet, 4 × the forward pass, within 3 × of the larger floor."""


@dataclass
class Bench:
    """What is measured, and what came out."""

    clock: Clock
    layers: int
    cases: list[tuple[int, int]]
    rates: Rates
    rows: list[dict[str, Any]] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def measure(self, what: str, precision: Precision, work: Callable[[int, int], object], memory: str) -> None:
        """Time one thing in every case there is time for."""
        for tokens, batch in self.cases:
            name = f"{what} {precision}, {tokens} tokens, batch {batch}"
            if self.clock.is_over:
                self.skipped[name] = "no time was left"
                continue
            try:
                times = self.clock.milliseconds(lambda tokens=tokens, batch=batch: work(tokens, batch))
            except RuntimeError as error:  # out of memory, or an engine's own
                self.skipped[name] = str(error).strip().split("\n", 1)[0][:200]
                continue
            floors = floors_ms(config_of(self.layers), batch, tokens, self.rates, WEIGHT_BYTES[precision])
            used = self.clock.peak_gib(lambda tokens=tokens, batch=batch: work(tokens, batch))
            row = {"what": what, "precision": str(precision), "tokens": tokens, "batch": batch, **summary(times)}
            row |= {"memory_gib": used if memory == "peak" else self.clock.used_gib(), **floors}
            self.rows.append(row)
            print(f"{name}: {row['p50_ms']} ms", file=sys.stderr, flush=True)


def main() -> None:
    """Measure, write JSON, print the table last."""
    options = _options()
    started = time.monotonic()
    quick = options.quick
    clock = Clock(options.device, 5 if quick else 100, 1.0 if quick else 3.0, started + 60 * options.minutes - 30)
    cases = [(64, 1), (152, 2)] if quick else [(tokens, batch) for batch in BATCHES for tokens in LENGTHS]
    with torch.no_grad():
        bench = Bench(clock, options.layers, cases, measure_rates(clock))
        checkpoint = make_checkpoint(options.work / f"checkpoint-{options.layers}", options.layers, options.device)
        _measure_card(bench, checkpoint)
    _free(options.device)
    remarks = _measure_ours(bench, checkpoint, options.work)
    result = {
        "what": f"Qwen3-1.7B geometry, {options.layers} layers, random weights",
        "device": _device(options.device),
        "machine": describe_machine(),
        "rates": bench.rates.to_json(),
        "rows": bench.rows,
        "skipped": bench.skipped,
        "remarks": remarks,
        "minutes": round((time.monotonic() - started) / 60, 1),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    _print(result)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=list(BY_DEVICE), default="cuda")
    parser.add_argument("--layers", type=int, default=28)
    parser.add_argument("--minutes", type=float, default=9.0, help="when it has to be done")
    parser.add_argument("--quick", action="store_true", help="two cases, five runs each")
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
    card, device = Card(checkpoint, bench.clock.device), bench.clock.device
    asked = {(tokens, batch): prompts(batch, tokens, device) for tokens, batch in bench.cases}
    bench.measure("forward", Precision.BF16, lambda tokens, batch: card.forward(asked[tokens, batch]), "peak")
    bench.measure("snippet", Precision.BF16, lambda tokens, batch: card.snippet(asked[tokens, batch]), "peak")


def _free(device: str) -> None:
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()


def _measure_ours(bench: Bench, checkpoint: Path, work: Path) -> dict[str, Any]:
    """Measure every engine that runs here in every precision; return what there is to remark."""
    able, lacking = engines_here(bench.clock.device)
    bench.skipped |= lacking
    remarks: dict[str, Any] = {"tensorrt-rtx": ask_rtx()} if bench.clock.device == "cuda" else {}
    if not able:
        return remarks
    writer = VariantWriter.open(checkpoint, work / f"bundle-{bench.layers}", bench.layers)
    for name in able:
        for precision in BY_DEVICE[bench.clock.device][name]:
            what = f"{name} {precision}"
            if bench.clock.is_over:
                bench.skipped[what] = "no time was left"
                continue
            try:
                remarks[what] = _measure_engine(bench, writer, name, precision)
            except RuntimeError as error:  # it may not take this variant; the others go on
                bench.skipped[what] = str(error)
    return remarks


def _measure_engine(bench: Bench, writer: VariantWriter, name: EngineName, precision: Precision) -> dict[str, Any]:
    started = time.monotonic()
    bundle = writer.write(precision)
    written = time.monotonic()
    with opened(bundle, name) as backend:
        loaded = time.monotonic()
        bench.measure(name, precision, lambda tokens, batch: ask(backend, batch, tokens), "used")
        notes = list(getattr(backend, "notes", ()))
    return {"write_s": round(written - started, 1), "load_s": round(loaded - written, 1), "notes": notes}


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


def _print(result: dict[str, Any]) -> None:
    rates = result["rates"]
    print(f"{result['device']['name']}: {result['what']}, {result['minutes']} minutes")
    if note := result["device"].get("note"):
        print(note)
    print(f"copy {rates['copy_bytes_per_s'] / 1e9:,.0f} GB/s, bf16 {rates['bf16_flop_per_s'] / 1e12:,.1f} TFLOP/s")
    for name, why in result["skipped"].items():
        print(f"not measured: {name}: {why}")
    for name, told in result["remarks"].items():
        print(f"{name}: {told}")
    _print_targets(result["rows"])
    head = ("what", "precision", "tokens", "batch", "p50_ms", "p99_ms", "memory_gib", "bytes_ms", "operations_ms")
    print("".join(f"{name:>14}" for name in head))
    for row in sorted(result["rows"], key=lambda row: (row["tokens"], row["batch"], row["p50_ms"])):
        print("".join(f"{'-' if row[name] is None else row[name]:>14}" for name in head))


def _print_targets(rows: list[dict[str, Any]]) -> None:
    """Say how ours compare at the target's size, if it was measured."""
    here = [row for row in rows if (row["tokens"], row["batch"]) == TARGET]
    base = {row["what"]: row["p50_ms"] for row in here if row["what"] in ("snippet", "forward")}
    for row in here:
        if row["what"] not in base and len(base) == 2:
            floor = max(row["bytes_ms"], row["operations_ms"])
            print(
                f"{row['what']} {row['precision']} at {TARGET[0]} tokens: {base['snippet'] / row['p50_ms']:.1f} × "
                f"the snippet (target 8), {base['forward'] / row['p50_ms']:.1f} × the forward pass (target 4), "
                f"{row['p50_ms'] / floor:.1f} × the larger floor (target 3)"
            )


if __name__ == "__main__":
    main()
