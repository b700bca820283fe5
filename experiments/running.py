"""Runs an experiment by the public commands, one after the other; what is done is left, what broke off goes on."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from experiments.design import BLOCK_ARMS, CHAIN_ARM, ROOT, Condition, Design, Run

Record = dict[str, object]
Execute = Callable[[Sequence[str], int | None], str]
"""Runs `rim-edge` with these words on so many threads (None: its own choice), and returns what it prints."""


def execute_apart(words: Sequence[str], threads: int | None) -> str:
    """Run a command in a process of its own, in the repository's root. Raises CalledProcessError if it fails."""
    environment = dict(os.environ)
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    command = [sys.executable, "-m", "rim_edge", *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    return done.stdout


def run_all(design: Design, work: Path, execute: Execute = execute_apart) -> None:
    """Train and score every run that is not done. Raises what `execute` does where a command fails."""
    for run in design.runs:
        base, condition = base_of(design, work, run.seed), design.condition(run.arm)
        if design.base is None:
            _train(design, run.seed, (_WARM_UP, work / f"start-{run.seed}", base), execute)
        if condition.arm is not None:
            _train(design, run.seed, (condition, base, work / run.name), execute)
        for test in design.tests:
            _score(design, run, work, test, execute)


def base_of(design: Design, work: Path, seed: int) -> Path:
    """Return the checkpoint that the runs of a seed begin with."""
    return design.base or work / f"base-{seed}"


def record_of(work: Path, name: str) -> Record:
    """Return what was noted when a command ended; empty where nothing was."""
    path = work / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def scores_name(run: Run, test: str) -> str:
    """Name the record of a run's scores."""
    return f"{run.name}.{test}"


_WARM_UP = Condition("rim", recipe="warm-up")
"""Is trained alike for all conditions of a seed."""


def _train(design: Design, seed: int, what: tuple[Condition, Path, Path], execute: Execute) -> None:
    """Train a condition from one checkpoint to another one, unless that is there."""
    condition, model, out = what
    if out.exists():
        return
    rows = "warm-up" if condition is _WARM_UP else f"train{condition.rows}"
    data = ["--data", out.with_name(f"{rows}.jsonl.gz"), "--arm", str(condition.arm)]
    options = ["--config", design.folder / f"{condition.recipe}.toml", "--model", model, *data]
    threads = [] if design.threads is None else ["--threads", design.threads]
    steps = ["--steps", design.steps[condition.recipe]] if condition.recipe in design.steps else []
    dev = [] if design.dev is None else ["--eval", out.with_name(f"{design.dev}{condition.rows}.jsonl.gz")]
    scored = [] if condition is _WARM_UP else dev
    words = ["train", *options, *scored, "--seed", seed, *threads, *steps, "--output", out, "--resume"]
    call(words, design.threads, out.with_name(f"{out.name}.json"), execute)


def _score(design: Design, run: Run, work: Path, test: str, execute: Execute) -> None:
    name, condition = scores_name(run, test), design.condition(run.arm)
    if record_of(work, name):
        return
    with_blocks = ["--each-block"] if design.each_block else []
    blocks = with_blocks if condition.arm in BLOCK_ARMS else ["--blocks", 0]
    chain = ["--chain", design.chain_tokens] if condition.arm == CHAIN_ARM else []
    rows = work / f"{test}{condition.rows}.jsonl.gz"
    model = base_of(design, work, run.seed) if condition.arm is None else work / run.name
    words = ["eval", rows, "--model", model, *blocks, *chain]
    call(words, design.threads, work / f"{name}.json", execute)


def call(arguments: Sequence[object], threads: int | None, record: Path, execute: Execute) -> None:
    """Run one command on so many threads, and note its result and the processor time of its process."""
    words = [_shown(argument) for argument in (*arguments, "--json")]
    print(shlex.join(["rim-edge", *words]), file=sys.stderr, flush=True)
    before = os.times()
    result = json.loads(execute(words, threads))
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    found = {"commit": _commit(), "cpu_seconds": round(spent, 1), "result": result}
    record.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _shown(argument: object) -> str:
    """Return an argument as it is typed in the repository's root."""
    if isinstance(argument, Path) and argument.is_relative_to(ROOT):
        return str(argument.relative_to(ROOT))
    return str(argument)


def _commit() -> str:
    """Return the code's commit, with a + where it was changed since; "unknown" outside a repository."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
