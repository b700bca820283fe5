"""Runs an experiment by the public commands, one after the other; what is done is left, what broke off goes on."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.plan import BLOCK_ARMS, CHAIN_ARM, ROOT, Plan, Run

Record = dict[str, object]


def run_all(plan: Plan, work: Path) -> None:
    """Train and score every run that is not done. Raises CalledProcessError where a command fails."""
    for run in plan.runs:
        base = work / f"base-{run.seed}"
        _train(plan, Run("rim", run.seed), "warm-up", work / f"start-{run.seed}", base)
        _train(plan, run, "train", base, work / run.name)
        for test in plan.tests:
            _score(plan, work, run, test)


def record_of(work: Path, name: str) -> Record:
    """Return what was noted when a command ended; empty where nothing was."""
    path = work / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def scores_name(run: Run, test: str) -> str:
    """Name the record of a run's scores."""
    return f"{run.name}.{test}"


def _train(plan: Plan, run: Run, recipe: str, model: Path, out: Path) -> None:
    """Train one recipe, whose name is also that of its rows."""
    if out.exists():
        return
    data = out.with_name(f"{recipe}.jsonl.gz")
    options = ["--config", plan.folder / f"{recipe}.toml", "--model", model, "--data", data, "--arm", run.arm]
    threads = [] if plan.threads is None else ["--threads", plan.threads]
    _call(plan, out, ["train", *options, "--seed", run.seed, *threads, "--out", out, "--resume"])


def _score(plan: Plan, work: Path, run: Run, test: str) -> None:
    name = scores_name(run, test)
    if record_of(work, name):
        return
    blocks = [] if run.arm in BLOCK_ARMS else ["--blocks", 0]
    chain = ["--chain", plan.chain_tokens] if run.arm == CHAIN_ARM else []
    _call(plan, work / name, ["eval", work / f"{test}.jsonl.gz", "--model", work / run.name, *blocks, *chain])


def _call(plan: Plan, made: Path, arguments: Sequence[object]) -> None:
    """Run one command in the repository's root; note its result and processor time beside what it makes."""
    words = [_shown(argument) for argument in (*arguments, "--json")]
    print(shlex.join(["rim-edge", *words]), file=sys.stderr, flush=True)
    environment = dict(os.environ)
    if plan.threads is not None:
        environment["OMP_NUM_THREADS"] = str(plan.threads)
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-m", "rim_edge", *words], cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True
    )
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    record = {"commit": _commit(), "cpu_seconds": round(spent, 1), "result": json.loads(done.stdout)}
    text = json.dumps(record, indent=2) + "\n"
    made.with_name(f"{made.name}.json").write_text(text, encoding="utf-8")


def _shown(argument: object) -> str:
    """Return an argument as it is typed in the repository's root."""
    if isinstance(argument, Path) and argument.is_relative_to(ROOT):
        return str(argument.relative_to(ROOT))
    return str(argument)


def _commit() -> str:
    """Return the code's commit, with a + where it was changed since."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
