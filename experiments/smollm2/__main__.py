"""Arms on SmolLM2-135M-Instruct: two doors, in plain English.

    python -m experiments.smollm2 [run | report] [--checkpoint DIR] [--work DIR]

`--checkpoint` is what `python examples/smollm2/make.py --checkpoint-only` makes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from experiments.command import carry_out, parser_of
from experiments.design import ROOT, Condition, Design
from experiments.smollm2.files import write_files

PLAN = Design(
    name="smollm2",
    seeds=dict.fromkeys(("rim", "no-blocks", "curriculum-without-blocks", "zero-shot"), (0,)),
    chain_tokens=0,
    conditions={"zero-shot": Condition(None)},
    dev="dev",
)


def _main() -> None:
    parser = parser_of(PLAN.name)
    checkpoint = ROOT / "build" / PLAN.name / "checkpoint"
    parser.add_argument("--checkpoint", type=Path, default=checkpoint, help="the model (default: %(default)s)")
    options = parser.parse_args()
    work = (options.work or ROOT / "build" / "smollm2-doors").resolve()
    options.work = work
    carry_out(
        replace(PLAN, base=work / "base"), options, lambda folder, _: write_files(folder, options.checkpoint)
    )


if __name__ == "__main__":
    _main()
