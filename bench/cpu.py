"""Side by side on this CPU: what answers a question at Qwen3-1.7B's geometry, and how fast.

    python bench/cpu.py all     --tokenizer DIR [--work DIR]     everything below, one after the other
    python bench/cpu.py prepare --tokenizer DIR [--only NAME,…]  make checkpoints, bundles, peers: once, reused
    python bench/cpu.py measure --tokenizer DIR [--only PART,…]  ask them in turns; run nothing else meanwhile
    python bench/cpu.py report  --tokenizer DIR                  parts → results/cpu.json, table and plot

README.md beside this file says what the parts are and how to read the result.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from cpu_parts.environments import environment_python
from cpu_parts.parts import measure_part, part_names
from cpu_parts.preparing import makers, prepare
from cpu_parts.report import print_tables, report
from harness.place import BENCH, Place, peer_environment
from harness.rounds import ROUNDS

STEPS = ("prepare", "measure", "report")


def main() -> None:
    """Do the steps that are asked for."""
    options = _options()
    place = Place(
        options.work.absolute(), options.tokenizer.absolute(), options.layers, options.slice_layers, options.exam
    )
    place.work.mkdir(parents=True, exist_ok=True)
    for step in STEPS if options.step == "all" else (options.step,):
        {"prepare": _prepare, "measure": _measure, "report": _report}[step](place, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("all", *STEPS))
    parser.add_argument(
        "--tokenizer", type=Path, required=True, help="folder with Qwen3-1.7B's tokenizer and config"
    )
    parser.add_argument("--work", type=Path, default=Path("build/bench"), help="everything that is made goes here")
    parser.add_argument("--layers", type=int, default=28, help="layers of the model [28]")
    parser.add_argument("--slice-layers", type=int, default=8, help="layers of what does not fit whole [8]")
    parser.add_argument("--only", type=lambda text: tuple(text.split(",")), help="of prepare or measure, by name")
    parser.add_argument("--exam", type=int, help="questions of each certificate [all that ship]; for a dry run")
    parser.add_argument("--rounds", type=int, help="rounds of every length [9, 9 and 5]")
    parser.add_argument("--remark", action="append", default=[], help="of report: what a reader should know")
    parser.add_argument("--out", type=Path, default=BENCH / "results" / "cpu.json")
    return parser.parse_args()


def _chosen(only: tuple[str, ...] | None, names: tuple[str, ...]) -> tuple[str, ...]:
    unknown = set(only or ()) - set(names)
    if unknown:
        raise SystemExit(f"--only {', '.join(sorted(unknown))}: no such name, expected some of {', '.join(names)}")
    return tuple(name for name in names if only is None or name in only)


def _prepare(place: Place, options: argparse.Namespace) -> None:
    only = options.only if options.step == "prepare" else None
    failed = prepare(place, _chosen(only, tuple(makers(place))))
    for name, reason in failed.items():
        print(f"not made: {name}: {reason}")


def _measure(place: Place, options: argparse.Namespace) -> None:
    only = options.only if options.step == "measure" else None
    rounds = {length: options.rounds or count for length, count in ROUNDS.items()}
    for name in _chosen(only, part_names(place)):
        print(f"== {name}", file=sys.stderr)
        part = measure_part(place, name, rounds)
        for row, reason in part.get("missing", {}).items():
            print(f"not measured: {row}: {reason}")


def _report(place: Place, options: argparse.Namespace) -> None:
    result = report(place, options.remark)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print_tables(result)
    if "gemm" not in result:
        raise SystemExit("no plot: the part `card` was not measured")
    python = environment_python(place, "plot")
    if not python.exists():
        raise SystemExit("no plot: its environment is not made; run `prepare --only plot`")
    command = [str(python), str(BENCH / "plot.py"), str(options.out), str(options.out.with_suffix(".svg"))]
    subprocess.run(command, check=True, env=peer_environment())


if __name__ == "__main__":
    main()
