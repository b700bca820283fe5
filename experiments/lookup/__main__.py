"""Five arms on lookups in a row.

    python -m experiments.lookup [run | report] [--long] [--work DIR]

`run` writes the files, trains and scores what is not done yet, and goes on where it was interrupted; then, as
`report` alone, it writes results.json and the tables of docs/arms.md. `--long` trains three of the arms for 6,000
steps instead of 3,600, by the same recipe.
"""

from __future__ import annotations

from dataclasses import replace

from experiments.command import carry_out, parser_of
from experiments.design import Design
from experiments.lookup.files import write_files

PLAN = Design(
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
LONG = replace(
    PLAN,
    variant="long",
    seeds={"rim": (0, 1, 2), "curriculum-without-blocks": (0, 1, 2), "no-blocks": (0,)},
    steps={"train": 6_000},
)


def _main() -> None:
    parser = parser_of(PLAN.name)
    parser.add_argument("--long", action="store_true", help="6,000 steps, three arms")
    options = parser.parse_args()
    carry_out(LONG if options.long else PLAN, options, write_files)


if __name__ == "__main__":
    _main()
