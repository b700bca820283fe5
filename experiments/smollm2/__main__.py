"""Arms on SmolLM2-135M-Instruct: one door or two, in plain English.

python examples/smollm2/make.py --base-only
python -m experiments.smollm2 [run | report] [--work DIR]
"""

from __future__ import annotations

from experiments.command import carry_out, parser_of
from experiments.design import ROOT, Condition, Design
from experiments.smollm2.files import write_files

PLAN = Design(
    name="smollm2",
    variant="doors",
    seeds=dict.fromkeys(("rim", "no-blocks", "curriculum-without-blocks", "zero-shot"), (0,)),
    chain_tokens=0,
    tests=("two-doors", "one-door"),
    conditions={"zero-shot": Condition(None)},
    dev="dev",
    base=ROOT / "build" / "smollm2" / "base",
)


def _main() -> None:
    carry_out(PLAN, parser_of(PLAN.name).parse_args(), write_files)


if __name__ == "__main__":
    _main()
