"""Does training slow down? Steps of the demo's stage 1 on one core, two source trees side by side.

    python bench/long_run.py [--before cb1d529~1] [--steps 1000] [--work build/bench] [--out FILE]

Each tree trains in a process of its own, both at once on a core each, and tells every 100 steps what a step took,
how many pieces glibc's free memory is in (malloc_info) and what is resident. The two draw the same puzzles.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness.machine import describe_machine
from harness.place import BENCH
from harness.trees import TREE, checked_out

WORKER = BENCH / "workers" / "train_long.py"


def start(tree: Path, steps: int) -> subprocess.Popen[str]:
    """Start a tree's worker on one thread."""
    path = os.pathsep.join(str(tree / part) for part in ("", "runtime", "export"))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(WORKER), str(steps)]
    return subprocess.Popen(command, env=environment, cwd=tree, stdout=subprocess.PIPE, text=True)


def told(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """Return what a worker said, after its end."""
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"A worker ended with {process.returncode}.")
    return [json.loads(line) for line in output.splitlines()]


def main() -> None:
    """Train both, print the table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", default="cb1d529~1", help="the commit to compare with")
    parser.add_argument("--steps", type=int, default=1_000)
    parser.add_argument("--work", type=Path, default=Path("build/bench"))
    parser.add_argument("--out", type=Path, default=BENCH / "results" / "long_run.json")
    options = parser.parse_args()
    trees = {"before": checked_out(options.before, options.work.absolute() / "long-before"), "after": TREE}
    running = {name: start(tree, options.steps) for name, tree in trees.items()}
    rows = {name: told(process) for name, process in running.items()}
    for before, after in zip(rows["before"], rows["after"], strict=True):
        print(f"before {before}\nafter  {after}")
    result = {"what": "demo, stage 1, one thread each", "machine": describe_machine(), "rows": rows}
    options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
