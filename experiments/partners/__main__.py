"""Curriculum and blocks, crossed, on keyed partners.

    python -m experiments.partners [run | report] [--items 8] [--seeds 8] [--work DIR]

`--items` is the width that an answer needs.
"""

from __future__ import annotations

from functools import partial

from experiments.command import carry_out, parser_of
from experiments.design import Condition, Design
from experiments.partners.files import REPEATED, write_files

CONDITIONS = (
    "rim",
    "no-blocks",
    "curriculum-without-blocks",
    "readouts-without-blocks",
    "no-curriculum",
    "fading-with-blocks",
    "fading-in-halves",
    "repeated-items",
    "cot",
)


def plan(items: int, seeds: int) -> Design:
    """Return the design for so many items and seeds; the chain of thought needs one."""
    return Design(
        name="partners",
        seeds={name: tuple(range(1 if name == "cot" else seeds)) for name in CONDITIONS},
        chain_tokens=4 * items + 8,
        variant=f"{items}",
        conditions={
            "fading-in-halves": Condition("curriculum-without-blocks", recipe="train-halves"),
            "repeated-items": Condition("no-blocks", rows=REPEATED),
        },
        dev="dev",
        each_block=True,
    )


def _main() -> None:
    parser = parser_of("partners")
    parser.add_argument("--items", type=int, choices=(4, 6, 8), default=8)
    parser.add_argument("--seeds", type=int, default=8)
    options = parser.parse_args()
    write = partial(write_files, items=options.items)
    carry_out(plan(options.items, options.seeds), options, write)


if __name__ == "__main__":
    _main()
