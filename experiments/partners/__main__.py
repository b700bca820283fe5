"""Curriculum and blocks, crossed, on keyed partners.

    python -m experiments.partners [run | report] [--items 6 | --items 4] [--seeds 8] [--work DIR]
    python -m experiments.partners [run | report] --long [--items 6 | --items 4] [--seeds 3]

`run` writes the files, trains and scores what is not done yet, and goes on where it was interrupted; then, as
`report` alone, it writes the results and the tables of docs/arms.md. `--long` trains three of the cells for 10,000
steps instead of 4,000, by the same recipe.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from experiments.command import carry_out, parser_of
from experiments.design import Condition, Design
from experiments.partners.files import KEY_FIRST, REPEATED, SCORED, STEPS, write_files
from experiments.partners.task import Part

CROSSED = (
    "rim",
    "no-blocks",
    "curriculum-without-blocks",
    "readouts-without-blocks",
    "no-curriculum",
    "fading-with-blocks",
)
"""The cells of curriculum and blocks."""
CONTROLS = {
    "fading-in-halves": Condition("curriculum-without-blocks", recipe="train-halves"),
    "repeated-items": Condition("no-blocks", rows=REPEATED),
    "key-first": Condition("no-blocks", rows=KEY_FIRST),
}
"""What else could do the blocks' work."""
_SEEDS, _FEW = 8, 3
"""Of a cell; of a control, and of the long runs."""
_MOST_TOLD = "repeated-items"
"""Has as many seeds as a cell: after three of them it was ahead of all cells."""


def plan(items: int, seeds: int) -> Design:
    """Return the design for so many items and seeds; most controls have fewer, the chain of thought one."""
    crossed = dict.fromkeys(CROSSED, tuple(range(seeds)))
    few = tuple(range(min(seeds, _FEW)))
    controls = dict.fromkeys(CONTROLS, few) | {_MOST_TOLD: tuple(range(seeds))}
    return Design(
        name="partners",
        variant=f"{items} items",
        seeds=crossed | controls | {"cot": (0,)},
        chain_tokens=4 * items,
        tests=(Part.TEST,),
        conditions=CONTROLS,
        dev=Part.DEV,
        each_block=True,
    )


def long_plan(items: int, seeds: int) -> Design:
    """Return the design of three cells that are trained for longer."""
    short = plan(items, seeds)
    return replace(
        short,
        variant=f"{short.variant} long",
        seeds={arm: short.seeds[arm] for arm in ("rim", "no-blocks", "curriculum-without-blocks")},
        steps={"train": _LONG},
    )


_LONG = 10_000


def _main() -> None:
    parser = parser_of("partners")
    parser.add_argument("--items", type=int, choices=tuple(SCORED), default=6)
    parser.add_argument("--seeds", type=int, help=f"{_SEEDS}, or {_FEW} of the long runs")
    parser.add_argument("--long", action="store_true", help=f"{_LONG:,} steps, three cells")
    options = parser.parse_args()
    steps = _LONG if options.long else STEPS
    if options.long:
        design = long_plan(options.items, options.seeds or _FEW)
    else:
        design = plan(options.items, options.seeds or _SEEDS)
    carry_out(design, options, partial(write_files, items=options.items, steps=steps))


if __name__ == "__main__":
    _main()
