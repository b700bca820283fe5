"""Curriculum and blocks, crossed, on keyed partners.

    python -m experiments.partners [run | report] [--seeds 8] [--work DIR]

Rows of two to eight items are trained together, and each width is scored apart.
"""

from __future__ import annotations

from experiments.command import carry_out, parser_of
from experiments.design import Condition, Design
from experiments.partners.files import REPEATED, SCORED, write_files

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
DEV = "dev"
"""What runs are scored on while they go on."""


def plan(seeds: int) -> Design:
    """Return the design for so many seeds; the chain of thought needs one."""
    return Design(
        name="partners",
        seeds={name: tuple(range(1 if name == "cot" else seeds)) for name in CONDITIONS},
        chain_tokens=40,
        tests=tuple(name for name in SCORED if name != DEV),
        conditions={
            "fading-in-halves": Condition("curriculum-without-blocks", recipe="train-halves"),
            "repeated-items": Condition("no-blocks", rows=REPEATED),
        },
        dev=DEV,
        each_block=True,
    )


def _main() -> None:
    parser = parser_of("partners")
    parser.add_argument("--seeds", type=int, default=8)
    options = parser.parse_args()
    carry_out(plan(options.seeds), options, write_files)


if __name__ == "__main__":
    _main()
