"""What a trace costs beside a plain question: one pass that reads out behind every memory block, 0 to K.

    python bench/trace.py [BUNDLE …] [--rounds 60] [--out FILE]

In each round a question is asked with all blocks, traced, and asked once with every number of blocks, 0 to K, in
turns, so that a busy machine is busy for all three. Ratios are taken within a round; their median is reported: of
the processor's time on one thread, which other programs hardly change, and of the clock's. Bundles need a trace
(rim-edge export --trace); without any, the embedded demo is measured.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from harness.machine import describe_machine
from rim_runtime import Bundle, Engine, PromptEncoder
from rim_runtime.bundle.names import resolve_bundle
from rim_runtime.loading.load import load_encoder

HERE = Path(__file__).parent
LENGTHS = (32, 64, 112, 256)
"""Tokens of the questions' segments."""
TARGET = 1.6
"""The most that a trace may cost, in plain questions."""


def question_of(encoder: PromptEncoder, tokens: int) -> str:
    """Return a question of so many tokens, or a few fewer."""
    text = "Which"
    for word in cycle(("of", "these", "is", "right,", "and", "which", "is", "not?")):
        longer = f"{text} {word}"
        if len(encoder.encode(longer)) > tokens:
            return text
        text = longer
    raise AssertionError


def shape(engine: Engine, prompt: int) -> dict[str, Any]:
    """Return what is asked, and how many more tokens a trace reads."""
    contract = engine.manifest.prompt
    more = contract.blocks * len(contract.prefix)
    return {
        "bundle": engine.bundle,
        "precision": str(engine.precision),
        "blocks": contract.blocks,
        "prompt_tokens": prompt,
        "traced_tokens": prompt + more,
        "tokens_ratio": round((prompt + more) / prompt, 2),
    }


@dataclass(frozen=True)
class Took:
    """How long something took."""

    clock: float
    """Seconds that passed."""
    processor: float
    """Seconds that this process computed."""


def took(work: Callable[[], object]) -> Took:
    """Do something and return how long it took."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return Took(time.perf_counter() - clock, time.process_time() - processor)


def ratios(ours: Sequence[Took], theirs: Sequence[Took]) -> dict[str, float]:
    """Return the median of the rounds' ratios."""
    pairs = list(zip(ours, theirs, strict=True))
    return {
        "processor": round(statistics.median(a.processor / b.processor for a, b in pairs), 2),
        "clock": round(statistics.median(a.clock / b.clock for a, b in pairs), 2),
    }


def measure(engine: Engine, question: str, rounds: int) -> dict[str, Any]:
    """Ask and trace in turns; return medians."""
    contract = engine.manifest.prompt

    def ask_each() -> None:
        for blocks in range(contract.blocks + 1):
            engine.ask(question, blocks=blocks)

    asked, traced, each = [], [], []
    for _ in range(rounds + 1):
        asked.append(took(lambda: engine.ask(question)))
        traced.append(took(lambda: engine.trace(question)))
        each.append(took(ask_each))
    asked, traced, each = asked[1:], traced[1:], each[1:]  # the first opens and warms up
    return {
        "ask_processor_ms": round(1000 * statistics.median(one.processor for one in asked), 2),
        "trace_to_ask": ratios(traced, asked),
        "each_to_ask": ratios(each, asked),
    }


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="*", default=["demo"], metavar="BUNDLE")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--note", default="", help="what else ran, for the result")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "trace.json")
    options = parser.parse_args()
    rows = []
    for bundle in options.bundles:
        encoder = load_encoder(Bundle.load(resolve_bundle(bundle).path))
        with Engine.load(bundle, engine="ort-cpu", threads=1) as engine:
            for tokens in LENGTHS:
                question = question_of(encoder, tokens)
                row = shape(engine, len(encoder.compose(question).ids)) | measure(engine, question, options.rounds)
                rows.append(row)
                print(row, flush=True)
    result = {
        "what": "one trace, and a question asked with each number of blocks, beside one question with all blocks",
        "machine": describe_machine(),
        "rounds": options.rounds,
        "note": options.note,
        "target": TARGET,
        "rows": rows,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
