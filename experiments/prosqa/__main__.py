"""Five arms on graph reachability, for a machine with a GPU.

    python -m experiments.prosqa [run | report] [--valid prosqa_valid.json.gz] [--work DIR]
    python -m experiments.prosqa --tiny

`--valid` adds ProsQA's own validation questions, names mapped to symbols, as a test. `--tiny` is a dry run for any
machine: two layers, eight steps, nothing published.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from experiments.command import carry_out, parser_of
from experiments.design import Design
from experiments.prosqa.files import FULL, TINY, write_files

PLAN = Design(
    name="prosqa",
    seeds={
        "rim": (0, 1, 2),
        "no-blocks": (0, 1, 2),
        "curriculum-without-blocks": (0, 1, 2),
        "no-curriculum": (0,),
        "cot": (0,),
    },
    chain_tokens=32,
    tests=("test", "long"),
    threads=None,
)
TINY_PLAN = replace(
    PLAN, variant="tiny", seeds=dict.fromkeys(PLAN.seeds, (0,)), steps={"warm-up": 4, "train": 4}, threads=1
)


def _main() -> None:
    parser = parser_of(PLAN.name)
    parser.add_argument("--valid", type=Path, help="ProsQA's prosqa_valid.json, plain or gzipped: a test more")
    parser.add_argument("--tiny", action="store_true", help="a dry run: random answers, nothing published")
    options = parser.parse_args()
    design = TINY_PLAN if options.tiny else PLAN
    if options.valid is not None:
        design = replace(design, tests=(*design.tests, "published"))
    write = partial(write_files, size=TINY if options.tiny else FULL, valid=options.valid)
    carry_out(design, options, write, publish=not options.tiny)


if __name__ == "__main__":
    _main()
