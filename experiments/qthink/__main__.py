"""QThink's latent steps beside their controls: from the demo's model, on its puzzles.

    python -m experiments.qthink [run | report] [--seeds 3] [--work DIR]

`run` trains and scores what is not done yet, by the public commands; then, as `report` alone, it writes
results.json and the table of examples/qthink/README.md.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.command import parser_of
from experiments.design import ROOT
from experiments.markdown import Table, fill, table
from experiments.over_seeds import over_seeds
from experiments.running import Execute, call, execute_apart, record_of

HERE, EXAMPLE = Path(__file__).parent, ROOT / "examples" / "qthink"
PAGE, RESULTS = EXAMPLE / "README.md", HERE / "results.json"
MODEL = ROOT / "rim_edge" / "demo" / "checkpoint"
SEEDS = 3


@dataclass(frozen=True)
class Condition:
    """What is trained from the demo's model."""

    words: str
    """What the table calls it."""
    recipe: Path
    """Its recipe."""
    way: str
    """How it is asked: `--as`."""
    latent_steps: int | None = None
    """Instead of the recipe's."""
    has_teacher: bool = False
    """Whether it learns from rollouts."""
    max_tokens: int = 16
    """Of what it writes."""


CONDITIONS = {
    "teacher": Condition(
        "three latent steps, each with a teacher", EXAMPLE / "demo.toml", "latent", has_teacher=True
    ),
    "no-teacher": Condition("three latent steps, no teacher", HERE / "no-teacher.toml", "latent"),
    "no-latent-steps": Condition("the same text, no latent steps", HERE / "no-teacher.toml", "open", 0),
    "written-steps": Condition(
        "the steps written out before the answer, no latent steps",
        HERE / "written-steps.toml",
        "chain",
        0,
        max_tokens=64,
    ),
}
"""The first is QThink, the others are its controls."""


def run_all(
    work: Path, seeds: Iterable[int], execute: Execute = execute_apart, more: Sequence[object] = ()
) -> None:
    """Train, with `more` options, and score what is not done yet. Raises what `execute` does where one fails."""
    puzzles, rollouts = work / "puzzles", work / "rollouts"
    if not (puzzles / "test.jsonl").exists():
        subprocess.run([sys.executable, EXAMPLE / "puzzles.py", puzzles], check=True)
    rows = ["--model", MODEL, "--data", puzzles / "train.jsonl"]
    if not record_of(work, "rollouts"):
        recipe = ["--config", EXAMPLE / "demo.toml", "--from-steps", "--output", rollouts]
        call(["rollouts", *rows, *recipe], 1, work / "rollouts.json", execute)
    for seed in seeds:
        for name, condition in CONDITIONS.items():
            out = work / f"{name}-{seed}"
            if not out.exists():
                options = [*rows, *_options(condition, rollouts), "--threads", 1, "--seed", seed, *more]
                call(["train", *options, "--output", out, "--resume"], 1, work / f"{out.name}.json", execute)
            if not record_of(work, f"{out.name}.test"):
                asked = ["eval", puzzles / "test.jsonl", "--model", out, *_asked(condition)]
                call(asked, 1, work / f"{out.name}.test.json", execute)


def _options(condition: Condition, rollouts: Path) -> list[object]:
    steps = [] if condition.latent_steps is None else ["--latent-steps", condition.latent_steps]
    return ["--config", condition.recipe, *steps, *(["--rollouts", rollouts] if condition.has_teacher else [])]


def _asked(condition: Condition) -> list[object]:
    without_blocks = ["--blocks", 0] if condition.way == "open" else []
    return ["--as", condition.way, *without_blocks, "--max-tokens", condition.max_tokens]


def collect(work: Path) -> dict[str, Any]:
    """Return the right answers of all runs that are done, and what they took."""
    found: dict[str, Any] = {}
    for name in CONDITIONS:
        for record in sorted(work.glob(f"{name}-[0-9]*.test.json")):
            run = record.name.removesuffix(".test.json")
            scored: Any = record_of(work, f"{run}.test")["result"]
            trained: Any = record_of(work, run)
            score = scored["by_blocks"]["0"]
            found.setdefault(name, {})[run.rsplit("-", 1)[1]] = {
                "right": score["right"],
                "n": score["n"],
                "commit": trained["commit"],
                "cpu_seconds": trained["cpu_seconds"],
                "resumed_at": trained["result"]["resumed_at"],
            }
    return found


def qthink_table(results: Mapping[str, Any]) -> Table:
    """Show every condition's accuracy over its seeds, and how far it is from the first one's."""
    shares = {
        name: {seed: 100 * run["right"] / run["n"] for seed, run in runs.items()} for name, runs in results.items()
    }
    first = shares[next(iter(CONDITIONS))]
    rows = []
    for name, runs in shares.items():
        differences = [share - first[seed] for seed, share in runs.items() if seed in first]
        whole = [run["cpu_seconds"] for run in results[name].values() if not run["resumed_at"]]
        minutes = ", ".join(f"{seconds / 60:.1f}" for seconds in whole)
        against = "" if runs is first else over_seeds(differences)
        rows.append([CONDITIONS[name].words, over_seeds([*runs.values()]), against, minutes])
    heads = ["trained from the demo's model", "right, %", "against the first row, points"]
    heads.append("processor minutes, a run each")
    return table(heads, rows)


def main() -> None:
    """Run and report."""
    parser = parser_of("qthink")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    options = parser.parse_args()
    work = (options.work or ROOT / "build" / "qthink-seeds").resolve()
    work.mkdir(parents=True, exist_ok=True)
    if options.what == "run":
        run_all(work, range(options.seeds))
    results = collect(work)
    print(qthink_table(results))
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    fill(PAGE, {"qthink": qthink_table(results)})


if __name__ == "__main__":
    main()
