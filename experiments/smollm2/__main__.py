"""Arms on SmolLM2-135M-Instruct: one door or two in plain English, or GSM8K's short problems.

python examples/smollm2/make.py --base-only
python -m experiments.smollm2 [run | report] [--gsm8k DIR] [--work DIR]

`--gsm8k` names a folder with GSM8K's `train.jsonl.gz` and `test.jsonl.gz`, as its authors publish the rows.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from experiments.command import carry_out, parser_of
from experiments.design import ROOT, Condition, Design
from experiments.smollm2 import files, gsm8k

ARMS = ("rim", "no-blocks", "curriculum-without-blocks")
UNTRAINED = "zero-shot"
"""Names the model before training."""
PLAN = Design(
    name="smollm2",
    variant="doors",
    seeds=dict.fromkeys((*ARMS, "readouts-without-blocks", UNTRAINED), (0,)),
    chain_tokens=0,
    tests=("two-doors", "one-door"),
    conditions={UNTRAINED: Condition(None)},
    dev="dev",
    base=ROOT / "build" / "smollm2" / "base",
)
GSM8K = Design(
    name="smollm2",
    variant="gsm8k",
    seeds=dict.fromkeys((*ARMS, UNTRAINED), (0,)),
    chain_tokens=0,
    conditions={arm: Condition(arm, recipe="train-gsm8k") for arm in ARMS} | {UNTRAINED: Condition(None)},
    dev="dev",
    base=PLAN.base,
)


def _main() -> None:
    parser = parser_of(PLAN.name)
    parser.add_argument("--gsm8k", type=Path, metavar="DIR", help="GSM8K's rows, instead of doors")
    options = parser.parse_args()
    if options.gsm8k is None:
        carry_out(PLAN, options, files.write_files)
    else:
        carry_out(GSM8K, options, partial(gsm8k.write_files, data=options.gsm8k))


if __name__ == "__main__":
    _main()
