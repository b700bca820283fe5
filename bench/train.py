"""Training on this CPU, before and after: tokens a second of real optimizer steps, two source trees in turns.

    python bench/train.py --tokenizer DIR --rows GSM8K.jsonl.gz [--baseline COMMIT] [--only CASE,…] [--threads 1,2]

Both trees' trainers are alive together, each in a process of its own, and take turns: a noisy machine is noisy for
both. A token is one of question, blocks and readouts, also where a tree leaves it out because it changes nothing;
padding is none. A case that is measured again
replaces its old figures in the result.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness.machine import describe_machine
from harness.place import BENCH, our_environment
from harness.row import Row
from harness.trees import TREE, checked_out
from harness.worker import Asked, Worker
from train_inputs import make_demo, make_small

DEMO = {"model": "demo", "trains": "everything", "alignment": "same-step", "batch_size": 64, "micro_batch": None}
SMALL = {"model": "small", "alignment": "next-step", "batch_size": 8, "micro_batch": 4, "steps": 2}
CASES: dict[str, dict[str, Any]] = {
    "demo, stage 1": {**DEMO, "objective": "steps", "steps": 8},
    "demo, stage 2": {**DEMO, "objective": "answer", "steps": 8},
    "small, stage 1, full": {**SMALL, "objective": "steps", "trains": "full"},
    "small, stage 1, lora": {**SMALL, "objective": "steps", "trains": "lora"},
    "small, stage 2, lora": {**SMALL, "objective": "answer", "trains": "lora"},
    "small, whole stage 1, lora": {
        **SMALL,
        "objective": "steps",
        "trains": "lora",
        "steps": 8,
        "whole_stage": True,
    },
    "small, stage 1, full, bf16": {**SMALL, "objective": "steps", "trains": "full", "arithmetic": "bf16"},
}
"""What is trained; `steps` of a turn. In a whole stage the steps' readouts anneal, as the paper prints it."""


def main() -> None:
    """Make what is trained, measure, write the result and print it."""
    options = _options()
    work = options.work.absolute()
    rows = _prepare(work, options)
    trees = {"before": checked_out(options.baseline, work / "before"), "after": TREE}
    result = json.loads(options.out.read_text()) if options.out.is_file() else {"cases": {}}
    result |= {"machine": describe_machine(), "before": _commit(options.baseline), "after": _commit("HEAD")}
    for name in options.only or CASES:
        case = CASES[name] | {
            "checkpoint": str(work / CASES[name]["model"]),
            "rows": str(rows[CASES[name]["model"]]),
        }
        for threads in options.threads:
            found = _measure(work, case, threads, trees, options.turns)
            result["cases"].setdefault(name, {})[f"{threads} threads"] = found
            print(f"{name}, {threads} threads: {found}", file=sys.stderr)
            options.out.write_text(json.dumps(result, indent=1) + "\n")
    _print(result)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder with Qwen3's tokenizer")
    parser.add_argument("--rows", type=Path, required=True, help="GSM8K's training rows")
    parser.add_argument("--baseline", default="cc1d998", help="commit of the tree before [cc1d998]")
    parser.add_argument("--work", type=Path, default=Path("build/bench-train"), help="what is made goes here")
    parser.add_argument("--only", type=lambda text: text.split(";"), help="cases by name, separated by ;")
    parser.add_argument("--threads", type=lambda text: [int(one) for one in text.split(",")], default=[1, 2])
    parser.add_argument("--turns", type=int, default=5, help="of each tree that count; one goes before")
    parser.add_argument("--out", type=Path, default=BENCH / "results" / "train.json")
    return parser.parse_args()


def _prepare(work: Path, options: argparse.Namespace) -> dict[str, Path]:
    """Make the checkpoints that are not there, and return each one's rows."""
    for name in ("demo", "small"):
        (work / name).mkdir(parents=True, exist_ok=True)
    if not (work / "demo" / "rows.jsonl").is_file():
        make_demo(work / "demo")
    if not (work / "small" / "model.safetensors").is_file():
        make_small(work / "small", options.tokenizer)
    return {"demo": work / "demo" / "rows.jsonl", "small": options.rows.absolute()}


def _commit(name: str) -> str:
    command = ["git", "-C", str(TREE), "rev-parse", "--short", name]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _measure(work: Path, case: dict[str, Any], threads: int, trees: dict[str, Path], turns: int) -> dict[str, Any]:
    """Let both trees train in turns; return what each reached, and the median of the turns' ratios."""
    workers = {name: _start(work, name, case, threads, tree) for name, tree in trees.items()}
    try:
        asked: dict[str, list[Asked]] = {name: [] for name in workers}
        for _ in range(1 + turns):
            for name, worker in workers.items():
                asked[name].append(worker.ask("steps", {}))
        if [one.result for one in asked["before"]] != [one.result for one in asked["after"]]:
            raise SystemExit("The trees did not train on the same rows: nothing to compare.")
        found = {name: _pace(asked[name][1:], workers[name]) for name in workers}
    finally:
        for worker in workers.values():
            worker.stop()
    pairs = zip(asked["before"][1:], asked["after"][1:], strict=True)
    ratio = statistics.median(before.seconds / after.seconds for before, after in pairs)
    return {**found, "times_faster": round(ratio, 2), "steps": case["steps"] * turns}


def _start(work: Path, name: str, case: dict[str, Any], threads: int, tree: Path) -> Worker:
    file = work / "case.json"
    file.write_text(json.dumps(case))
    paths = ":".join(str(tree / part) for part in ("", "export", "runtime"))
    environment = our_environment(work / "home") | {"PYTHONPATH": paths, "OMP_NUM_THREADS": str(threads)}
    command = (sys.executable, str(BENCH / "workers" / "train_steps.py"), str(file), str(threads), str(tree))
    return Worker.start(Row(name, command, environment, work, 0), work / f"{name}.log")


def _pace(asked: list[Asked], worker: Worker) -> dict[str, float]:
    """Return medians over the turns, and the process' peak memory."""
    return {
        "tokens_per_s": round(statistics.median(one.result["tokens"] / one.seconds for one in asked), 1),
        "examples_per_s": round(statistics.median(one.result["examples"] / one.seconds for one in asked), 2),
        "peak_gib": worker.memory_gib()["peak"],
    }


def _print(result: dict[str, Any]) -> None:
    for name, by_threads in result["cases"].items():
        for threads, found in by_threads.items():
            before, after = found["before"], found["after"]
            print(
                f"{name:24} {threads:10} {before['tokens_per_s']:8} → {after['tokens_per_s']:8} tokens/s, "
                f"{before['examples_per_s']:7} → {after['examples_per_s']:7} examples/s, {found['times_faster']} ×"
            )


if __name__ == "__main__":
    main()
