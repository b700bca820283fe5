"""Writing text on this CPU, side by side: tokens a second, time to the first token, memory.

    python bench/decode.py --tokenizer DIR [--comparators DIR]   makes, measures, writes results/decode.json, .svg
    python bench/decode.py --only measure,report                 parts by name: make, measure, report
    python bench/decode.py --rows int8 --rows Q8_0 --models smollm2
    python bench/decode.py --quick --model DIR                   int8 and fp32 of one model: does it work?

What was made by the same recipe is not made again; times are measured anew. README.md beside this file says what
is compared.
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

from cpu_parts.checkpoint import make_checkpoint
from decode_parts.measuring import GROUPS, WIDE, group_of, measure
from decode_parts.ours import INT8
from decode_parts.peers import GGUF_MAKERS
from decode_parts.report import result_of, table
from decode_parts.setting import Model, Setting
from decode_parts.writer import Writer
from harness.place import BENCH
from real_parts.setting import CHECKPOINT, TREE

STEPS = ("make", "measure", "report")
REAL, GEOMETRY = "SmolLM2-135M", "Qwen3-1.7B geometry"
MODELS = {"smollm2": REAL, "geometry": GEOMETRY}
LAYERS = 28
FEW = 40
"""Questions of the large geometry's certificates: each takes seconds, and of 16 int4 left too few golden ones."""
QUICK = {"tokens": 4, "samples": 2, "rounds": 1}


def main() -> None:
    """Do the steps that are asked for."""
    options = _options()
    setting = _setting(options)
    setting.work.mkdir(parents=True, exist_ok=True)
    groups = tuple(group for group in GROUPS if group in options.groups)
    for step in options.only:
        started = time.perf_counter()
        if step == "report":
            _report(setting, options.out)
            continue
        for model in setting.models:
            for group in groups:
                _do(step, setting, model, group, _wanted(group_of(setting, model, group), options))
        print(f"== {step}: {time.perf_counter() - started:.0f} s", file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=CHECKPOINT, help="the real model, in fp32 [build/smollm2]")
    parser.add_argument("--geometry", type=Path, help="checkpoint at the large geometry [made, with --tokenizer]")
    parser.add_argument("--tokenizer", type=Path, help="folder with Qwen3-1.7B's tokenizer and config")
    parser.add_argument("--work", type=Path, default=TREE / "build" / "decode", help="everything that is made")
    parser.add_argument("--comparators", type=Path, help="folder of the comparators' environments [--work]")
    parser.add_argument("--only", type=_names(STEPS), default=STEPS, help=f"of {', '.join(STEPS)}")
    parser.add_argument("--models", type=_names(tuple(MODELS)), default=tuple(MODELS), help=", ".join(MODELS))
    parser.add_argument("--groups", type=_names(GROUPS), default=GROUPS, help=f"of {', '.join(GROUPS)}")
    parser.add_argument("--rows", action="append", help="rows whose names contain this text; may be repeated")
    parser.add_argument("--quick", action="store_true", help="ours alone, one model, a few tokens: does it work?")
    parser.add_argument("--tokens", type=int, default=32, help="tokens after the first [32]")
    parser.add_argument("--samples", type=int, default=8, help="texts at once [8]")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of requests [5]")
    parser.add_argument("--out", type=Path, default=BENCH / "results" / "decode.json")
    options = parser.parse_args()
    if options.quick:
        vars(options).update(QUICK, models=("smollm2",), groups=(WIDE,), rows=["rim-edge"])
    return options


def _names(known: Sequence[str]) -> type:
    def parse(text: str) -> tuple[str, ...]:
        names = text.split(",")
        if unknown := set(names) - set(known):
            raise argparse.ArgumentTypeError(f"no {', '.join(sorted(unknown))}, expected {', '.join(known)}")
        return tuple(name for name in known if name in names)

    return parse  # type: ignore[return-value]


def _setting(options: argparse.Namespace) -> Setting:
    work = options.work.absolute()
    geometry = (options.geometry or work / f"checkpoint-{LAYERS}").absolute()
    models = []
    if "smollm2" in options.models:
        models.append(Model(REAL if options.model == CHECKPOINT else options.model.name, options.model.absolute()))
    if "geometry" in options.models:
        if not (geometry / "config.json").is_file():
            if options.tokenizer is None:
                raise SystemExit(f"{geometry} is no checkpoint: make it with --tokenizer DIR, or name one")
            make_checkpoint(geometry, options.tokenizer.absolute(), LAYERS)
        models.append(Model(GEOMETRY, geometry, FEW))
    for model in models:
        if (family := _family(model.checkpoint)) not in GGUF_MAKERS:
            raise SystemExit(f"{model.checkpoint} is a {family}, expected one of {', '.join(GGUF_MAKERS)}")
    comparators = (options.comparators or work).absolute()
    return Setting(tuple(models), work, comparators, options.tokens, options.samples, options.rounds)


def _family(checkpoint: Path) -> str:
    if not (checkpoint / "config.json").is_file():
        raise SystemExit(f"{checkpoint} holds no model: examples/smollm2/make.py --checkpoint-only makes one")
    return str(json.loads((checkpoint / "config.json").read_text())["model_type"])


def _wanted(writers: Sequence[Writer], options: argparse.Namespace) -> tuple[Writer, ...]:
    """Return the rows that are asked for; our int8 is always among them: ratios are to it."""
    texts = options.rows or [""]
    return tuple(one for one in writers if one.name == INT8 or any(text in one.name for text in texts))


def _do(step: str, setting: Setting, model: Model, group: str, writers: Sequence[Writer]) -> None:
    if step == "make":
        for writer in writers:
            figures = writer.make()
            told = figures.get("failed") or f"{figures.get('seconds')} s"
            print(f"make: {model.name}: {writer.name}: {told}", file=sys.stderr)
        return
    print(f"measure: {model.name}: {group}", file=sys.stderr)
    measure(setting, model, group, writers)


def _report(setting: Setting, out: Path) -> None:
    result = result_of(setting)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(table(result))
    if importlib.util.find_spec("matplotlib") is None:
        print("no picture: pip install matplotlib, then --only report")
        return
    picture = str(BENCH / "decode_parts" / "picture.py")
    subprocess.run([sys.executable, picture, str(out), str(out.with_suffix(".svg"))], check=True)


if __name__ == "__main__":
    main()
