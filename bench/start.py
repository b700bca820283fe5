"""Process start to printed answer of the embedded demo: `rim-edge ask -r "…"`, in processes of their own.

    python bench/start.py [--rounds 21] [--out FILE]

The first run, which also puts the golden questions to the engine, is reported apart.
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

from harness.machine import describe_machine

from rim_edge.puzzles.fresh import fresh_puzzles

HERE = Path(__file__).parent


def answer_seconds(home: str, question: str) -> float:
    """Return the time of one `rim-edge ask`, from before the process starts to after it ended."""
    script = Path(sys.executable).with_name("rim-edge")
    environment = {**os.environ, "RIM_EDGE_HOME": home}
    started = time.perf_counter()
    subprocess.run([script, "ask", "-r", question], check=True, capture_output=True, env=environment)
    return time.perf_counter() - started


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "start.json")
    options = parser.parse_args()
    (puzzle,) = fresh_puzzles(1, seed=1)
    with tempfile.TemporaryDirectory() as home:
        first, *warm = (answer_seconds(home, puzzle.question) for _ in range(options.rounds + 1))
    result = {
        "what": "rim-edge ask -r, process start to end, embedded demo bundle",
        "machine": describe_machine(),
        "rounds": options.rounds,
        "p50_s": round(statistics.median(warm), 3),
        "p90_s": round(statistics.quantiles(warm, n=10, method="inclusive")[-1], 3),
        "first_s": round(first, 3),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"p50 {result['p50_s']} s, p90 {result['p90_s']} s, first run {result['first_s']} s")


if __name__ == "__main__":
    main()
