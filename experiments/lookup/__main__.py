"""Five arms on lookups in a row.

    python -m experiments.lookup [run | report] [--long | --layers 3] [--work DIR]

`run` writes the files, trains and scores what is not done yet, and goes on where it was interrupted; then, as
`report` alone, it writes results.json and the tables of docs/arms.md. `--long` trains three of the arms for 6,000
steps instead of 3,600, by the same recipe. `--layers 3` trains models as deep as there are hops: too shallow for
one pass, so that blocks should not help.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from experiments.command import carry_out, parser_of
from experiments.design import Design
from experiments.lookup.files import LAYERS, write_files
from experiments.lookup.task import HOPS

CONTROLS = (
    "no-blocks",
    "curriculum-without-blocks",
    "readouts-without-blocks",
    "no-curriculum",
    "fading-with-blocks",
)
"""The other cells of curriculum and blocks."""
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
SHALLOW = replace(
    PLAN,
    variant=f"{HOPS} layers",
    seeds={arm: tuple(range(8)) for arm in ("rim", *CONTROLS)} | {"cot": (0, 1, 2)},
)


def _main() -> None:
    parser = parser_of(PLAN.name)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--long", action="store_true", help="6,000 steps, three arms")
    which.add_argument("--layers", type=int, choices=(HOPS, LAYERS), default=LAYERS, help="of the model")
    options = parser.parse_args()
    design = LONG if options.long else SHALLOW if options.layers == HOPS else PLAN
    carry_out(design, options, partial(write_files, layers=options.layers))


if __name__ == "__main__":
    _main()
