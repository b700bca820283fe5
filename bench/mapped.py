"""What it costs that nobody can change the weights of an open engine: start and memory of four ways, in turns.

    python bench/mapped.py BUNDLE [--rounds 5] [--engines ort-cpu:many openvino:many] [--out FILE]

Each round starts a process a way: `before` (mapped, and no more), `lease` (mapped; who writes waits for a copy),
`lease, then written` (the memory is that after somebody wrote), `copy` (no lease to be had: copied at once).
Times are warm: hashes and self-tests are remembered. Ratios are of medians, against `before`. On a machine that
does other things, only the processor's time (`cpu_s`) and the memory can be trusted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness.machine import describe_machine

HERE = Path(__file__).parent
WAYS = ("before", "lease", "copy", "lease, then written")
QUESTION = "Which vitamin deficiency causes scurvy?\nA: Vitamin A\nB: Vitamin B12\nC: Vitamin C\nD: Vitamin D"


def ask(way: str, bundle: Path, engine: str, answers: str, home: str) -> dict[str, Any]:
    """Return what one process took, `start_s` from before it started until it had answered."""
    command = [sys.executable, HERE / "workers" / "ask_mapped.py", way, bundle, engine, answers, QUESTION]
    started = time.time()
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, "RIM_EDGE_HOME": home}
    )
    result = dict(json.loads(done.stdout))
    return result | {"start_s": result.pop("answered") - started}


def measure(bundle: Path, engine: str, answers: str, rounds: int, home: str) -> dict[str, Any]:
    """Return each way's median start and memory in MB, with ratios to `before`."""
    ask("before", bundle, engine, answers, home)  # hashes, and asks the golden questions
    asked: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for number in range(rounds):
        for way in WAYS[number % len(WAYS) :] + WAYS[: number % len(WAYS)]:
            asked[way].append(ask(way, bundle, engine, answers, home))
    assert len({one["letter"] for ones in asked.values() for one in ones}) == 1
    return ratios({way: _median(ones) for way, ones in asked.items()})


def _median(ones: list[dict[str, Any]]) -> dict[str, Any]:
    memory = {name: statistics.median(one["memory"][name] for one in ones) for name in ones[0]["memory"]}
    waits = [one["writer_waits_s"] for one in ones if "writer_waits_s" in one]
    starts = [one["start_s"] for one in ones]
    found = {
        "start_s": round(statistics.median(starts), 3),
        "least_start_s": round(min(starts), 3),
        "cpu_s": round(statistics.median(one["cpu_s"] for one in ones), 3),
    }
    return found | {"memory_mb": memory} | ({"writer_waits_s": statistics.median(waits)} if waits else {})


def ratios(ways: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Add each way's ratios to `before`."""
    before = ways["before"]
    for way in ways.values():
        way["ratios"] = {
            "start": round(way["start_s"] / before["start_s"], 3),
            "least_start": round(way["least_start_s"] / before["least_start_s"], 3),
            "cpu": round(way["cpu_s"] / before["cpu_s"], 3),
            **{
                name: round(way["memory_mb"][name] / before["memory_mb"][name], 3) for name in ("resident", "peak")
            },
        }
    return dict(ways)


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--engines", nargs="+", default=["ort-cpu:many", "ort-cpu:one", "openvino:many"])
    parser.add_argument("--out", type=Path, default=HERE / "results" / "mapped.json")
    options = parser.parse_args()
    data = next(options.bundle.glob("*.data"))
    result: dict[str, Any] = json.loads(options.out.read_text()) if options.out.is_file() else {}
    name = f"{data.name}, {data.stat().st_size / 1e6:,.0f} MB"
    rows = result.setdefault("bundles", {}).setdefault(name, {})
    result |= {"what": __doc__.split("\n")[0], "machine": describe_machine()}
    with tempfile.TemporaryDirectory() as home:
        for wanted in options.engines:
            engine, answers = wanted.split(":")
            rows[wanted] = {"rounds": options.rounds, "load": round(os.getloadavg()[0], 1)}
            rows[wanted]["ways"] = measure(options.bundle, engine, answers, options.rounds, home)
            for way, found in rows[wanted]["ways"].items():
                print(wanted, way, found["start_s"], "s", found["memory_mb"], found["ratios"])
            options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
