"""Five arms on lookups in a row.

    python -m experiments.lookup [run | report] [--half] [--work DIR]

`run` writes the files, trains and scores what is not done yet, and goes on where it was interrupted; then, as
`report` alone, it writes results.json and the tables of docs/arms.md. `--half` compares the two arms that learn to
answer without written steps at half the optimizer steps.
"""

from __future__ import annotations

from dataclasses import replace

from experiments.command import parser_of, report, run
from experiments.lookup.files import write_files
from experiments.plan import Plan

PLAN = Plan(
    name="lookup",
    seeds={
        "rim": (0, 1, 2),
        "no-blocks": (0, 1, 2),
        "curriculum-without-blocks": (0, 1, 2),
        "no-curriculum": (0,),
        "cot": (0,),
    },
    chain_tokens=16,
)
HALF = replace(
    PLAN,
    variant="half",
    seeds={arm: PLAN.seeds[arm] for arm in ("rim", "curriculum-without-blocks")},
    steps={"train": 1_800},
)


def _main() -> None:
    parser = parser_of(PLAN.name)
    parser.add_argument("--half", action="store_true", help="half the steps; pass a --work of its own")
    options = parser.parse_args()
    plan = HALF if options.half else PLAN
    if options.what == "run":
        write_files(options.work, plan.every_seed)
        run(plan, options.work)
    report(plan, options.work)


if __name__ == "__main__":
    _main()
