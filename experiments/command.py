"""What the experiments' commands share."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from experiments.design import ROOT, Design
from experiments.markdown import fill
from experiments.results import collect
from experiments.running import run_all
from experiments.tables import tables_of

WriteFiles = Callable[[Path, Sequence[int]], None]
"""Writes an experiment's rows and untrained models for some seeds, unless they are there."""
PAGE = ROOT / "docs" / "arms.md"
"""Where the tables are shown."""


def parser_of(name: str) -> argparse.ArgumentParser:
    """Return the options that every experiment has."""
    parser = argparse.ArgumentParser(prog=f"python -m experiments.{name}")
    parser.add_argument("what", nargs="?", choices=("run", "report"), default="run")
    parser.add_argument("--work", type=Path, help="for rows and checkpoints (default: build/EXPERIMENT)")
    return parser


def carry_out(
    design: Design, options: argparse.Namespace, write_files: WriteFiles, *, publish: bool = True
) -> None:
    """Train and score what is not done yet, if that is asked for, and report what is done."""
    work: Path = (options.work or ROOT / "build" / design.title.replace(" ", "-")).resolve()
    if options.what == "run":
        write_files(work, design.every_seed)
        run_all(design, work)
    report(design, work, publish=publish)


def report(design: Design, work: Path, *, publish: bool) -> None:
    """Print the tables of what is done; published, they are written into the results' file and the page."""
    results = collect(design, work)
    tables = tables_of(results)
    for name, table in tables.items():
        print(f"{name}\n\n{table}")
    if publish:
        design.results.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        fill(PAGE, tables)
