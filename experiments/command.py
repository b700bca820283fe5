"""What the experiments' commands share."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from experiments.plan import ROOT, Plan
from experiments.results import collect
from experiments.running import run_all
from experiments.tables import fill, tables_of

PAGE = ROOT / "docs" / "arms.md"
"""Where the tables are shown."""


def parser_of(name: str) -> argparse.ArgumentParser:
    """Return the options that every experiment has."""
    parser = argparse.ArgumentParser(prog=f"python -m experiments.{name}")
    parser.add_argument("what", nargs="?", choices=("run", "report"), default="run")
    parser.add_argument(
        "--work", type=Path, default=ROOT / "build" / name, help="for rows and checkpoints (default: build/NAME)"
    )
    return parser


def run(plan: Plan, work: Path) -> None:
    """Train and score what is not done yet."""
    run_all(plan, work.resolve())


def report(plan: Plan, work: Path, *, publish: bool = True) -> None:
    """Print the tables of what is done; published, they are written into the results' file and the page."""
    results = collect(plan, work.resolve())
    tables = tables_of(results)
    for name, table in tables.items():
        print(f"{name}\n\n{table}")
    if publish:
        plan.results.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        fill(PAGE, tables)
