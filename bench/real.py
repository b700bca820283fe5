"""What each precision does to a real model, SmolLM2-135M-Instruct: ours beside the quantizers people would take.

    python examples/smollm2/make.py --checkpoint-only        once: the model
    python bench/real.py [--comparators DIR]                 makes, measures, writes results/real.json and .svg
    python bench/real.py --only time,report                  parts by name: make, text, letters, time, report
    python bench/real.py --rows int8 --only make,text        rows whose names contain a text

What was made or measured by the same recipe is not made or measured again, but for times. README.md beside this
file says what is compared.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from harness.made import read_figures
from harness.place import BENCH
from real_parts.candidate import Candidate
from real_parts.checkpoint import make_checkpoint
from real_parts.measuring import measure_letters, measure_text, measure_time
from real_parts.ours import FP32, INT8, our_candidates
from real_parts.peers import peer_candidates
from real_parts.report import result_of, table
from real_parts.setting import CHECKPOINT, SOLUTIONS, TEXT, TREE, Setting, our_worker_environment

STEPS = ("make", "text", "letters", "time", "report")
QUICK = {"tokens": 120, "questions": 8, "certified": 12, "rounds": 2}


def main() -> None:
    """Do the steps that are asked for."""
    options = _options()
    sizes = {name: getattr(options, name) for name in QUICK}
    setting = Setting(
        options.model.absolute(),
        options.text,
        options.solutions,
        options.work.absolute(),
        options.comparators.absolute(),
        **sizes,
    )
    if not (setting.model / "config.json").is_file():
        raise SystemExit(f"{setting.model} holds no model: python examples/smollm2/make.py --checkpoint-only")
    if not setting.text.is_file():
        raise SystemExit(
            f"{setting.text} is missing: the text, rows with question and answer. Name one: --text FILE"
        )
    setting.work.mkdir(parents=True, exist_ok=True)
    candidates = _candidates(setting, options)
    for step in options.only:
        started = time.perf_counter()
        _step(step, setting, candidates, options.out)
        print(f"== {step}: {time.perf_counter() - started:.0f} s", file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=CHECKPOINT, help="checkpoint in fp32 [build/smollm2]")
    parser.add_argument("--text", type=Path, default=TEXT, help="rows with question and answer [GSM8K's test set]")
    parser.add_argument(
        "--solutions", type=Path, default=SOLUTIONS, help="rows that int4 is fitted to [GSM8K's training set]"
    )
    parser.add_argument(
        "--work", type=Path, default=TREE / "build" / "real", help="everything that is made goes here"
    )
    parser.add_argument(
        "--comparators", type=Path, help="folder of the comparators' environments [the work folder]"
    )
    parser.add_argument("--only", type=_names(STEPS), default=STEPS, help=f"of {', '.join(STEPS)}")
    parser.add_argument("--rows", action="append", help="rows whose names contain this text; may be repeated")
    parser.add_argument("--quick", action="store_true", help="fp32 and int8 alone, a few texts: does it work?")
    parser.add_argument("--tokens", type=int, default=9_000, help="tokens of text, at least [9000]")
    parser.add_argument("--questions", type=int, default=256, help="medical questions [256]")
    parser.add_argument("--certified", type=int, default=40, help="questions of each export's certificate [40]")
    parser.add_argument("--rounds", type=int, default=15, help="timed answers a row [15]")
    parser.add_argument("--out", type=Path, default=BENCH / "results" / "real.json")
    options = parser.parse_args()
    options.comparators = options.comparators or options.work
    if options.quick:
        vars(options).update(QUICK)
    return options


def _names(known: Sequence[str]) -> type:
    def parse(text: str) -> tuple[str, ...]:
        names = text.split(",")
        if unknown := set(names) - set(known):
            raise argparse.ArgumentTypeError(f"no part {', '.join(sorted(unknown))}, expected {', '.join(known)}")
        return tuple(name for name in known if name in names)

    return parse  # type: ignore[return-value]


def _candidates(setting: Setting, options: argparse.Namespace) -> list[Candidate]:
    every = our_candidates(setting)
    if options.quick:
        return [candidate for candidate in every if candidate.name in (FP32, INT8)]
    every += peer_candidates(setting)
    wanted = options.rows or [""]
    # fp32 is always among them: ratios are to it, and others are made of it
    return [one for one in every if one.name == FP32 or any(text in one.name for text in wanted)]


def _step(step: str, setting: Setting, candidates: list[Candidate], out: Path) -> None:
    if step == "make":
        _make(setting, candidates)
        return
    there = [one for one in candidates if "failed" not in read_figures(setting.made(one.name))]
    if FP32 not in [one.name for one in there]:
        raise SystemExit(f"{FP32} is not made, and everything is measured against it: --only make says why")
    if step == "text":
        measure_text(setting, there, _reference(setting))
    elif step == "letters":
        measure_letters(setting, there, _reference(setting))
    elif step == "time":
        measure_time(setting, there)
    else:
        _report(setting, candidates, out)


def _make(setting: Setting, candidates: Sequence[Candidate]) -> None:
    make_checkpoint(setting.model, setting.rim_checkpoint)
    for candidate in candidates:
        figures = candidate.make()
        print(f"make: {candidate.name}: {figures.get('failed') or figures.get('seconds')}", file=sys.stderr)


def _reference(setting: Setting) -> Candidate:
    worker = str(BENCH / "workers" / "real" / "answer_torch.py")
    command = (sys.executable, worker, str(setting.rim_checkpoint))
    weights = tuple(setting.rim_checkpoint.glob("*.safetensors"))
    return Candidate("transformers fp32", dict, command, our_worker_environment(setting.place), lambda: weights)


def _report(setting: Setting, candidates: Sequence[Candidate], out: Path) -> None:
    result = result_of(setting, candidates)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(table(result))
    for name, reason in result["missing"].items():
        print(f"missing: {name}: {reason}")
    if importlib.util.find_spec("matplotlib") is None:
        print("no picture: pip install matplotlib, then --only report")
        return
    picture = str(BENCH / "real_parts" / "picture.py")
    subprocess.run([sys.executable, picture, str(out), str(out.with_suffix(".svg"))], check=True)


if __name__ == "__main__":
    main()
