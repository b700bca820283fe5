"""Five arms on lookups in a row.

    python -m experiments.lookup [run | report] [--work DIR]

`run` writes the files, trains and scores what is not done yet, and goes on where it was interrupted; then, as
`report` alone, it writes results.json and the tables of docs/arms.md.
"""

from __future__ import annotations

from experiments.command import main
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

if __name__ == "__main__":
    main(PLAN, write_files)
