"""The command of every experiment."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from experiments.plan import ROOT, Plan
from experiments.results import collect
from experiments.running import run_all
from experiments.tables import fill, tables_of

PAGE = ROOT / "docs" / "arms.md"
"""Where the tables are shown."""


def main(plan: Plan, write_files: Callable[[Path, Sequence[int]], None]) -> None:
    """Run what is asked for on the command line."""
    parser = argparse.ArgumentParser(prog=f"python -m experiments.{plan.name}")
    parser.add_argument("what", nargs="?", choices=("run", "report"), default="run")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / plan.name, help="for rows and checkpoints")
    options = parser.parse_args()
    work: Path = options.work.resolve()
    if options.what == "run":
        write_files(work, plan.every_seed)
        run_all(plan, work)
    results = collect(plan, work)
    plan.results.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    fill(PAGE, tables_of(results))
