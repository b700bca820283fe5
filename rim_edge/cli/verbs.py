"""All verbs: where each is, and two examples of it, which its help and docs/cli.md show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

ANSWERS, MODELS, MACHINE = "Answers", "Models", "This machine"
"""Panels of the help page."""


@dataclass(frozen=True)
class Verb:
    """One verb of the command line; its module is imported when it is needed."""

    panel: str
    """The panel of the help page that lists it."""
    place: str
    """Module and name of its function, or of its group of verbs."""
    examples: tuple[str, ...] = ()
    """Commands that run as they stand, but for files of the user's own; a group's verbs have their own."""


VERBS: Mapping[str, Verb] = MappingProxyType(
    {
        "ask": Verb(
            ANSWERS,
            "ask.ask",
            (
                'rim-edge ask "Which vitamin prevents scurvy?" -c "Vitamin A" -c "Vitamin C"',
                'echo "Which vitamin prevents scurvy?" | rim-edge ask --json',
            ),
        ),
        "trace": Verb(
            ANSWERS,
            "trace.trace",
            (
                'rim-edge trace "Which vitamin prevents scurvy?" -c "Vitamin A" -c "Vitamin C"',
                'rim-edge trace "Which vitamin prevents scurvy?" -c "Vitamin A" -c "Vitamin C" --svg trace.svg',
            ),
        ),
        "prompt": Verb(
            ANSWERS,
            "prompt.prompt",
            (
                'rim-edge prompt "Which vitamin prevents scurvy?" -c "Vitamin A" -c "Vitamin C"',
                'rim-edge prompt "Which vitamin prevents scurvy?" --blocks 0 --json',
            ),
        ),
        "demo": Verb(
            ANSWERS,
            "demo.demo",
            ("rim-edge demo", "rim-edge demo --count 6 --family rooms --seed 7"),
        ),
        "eval": Verb(
            MODELS,
            "eval.evaluate",
            ("rim-edge eval test.jsonl", "rim-edge eval test.jsonl --model my-rim --limit 200 --json"),
        ),
        "calibrate": Verb(
            MODELS,
            "calibrate.calibrate",
            ("rim-edge calibrate dev.jsonl", "rim-edge calibrate --bundle demo --forget"),
        ),
        "export": Verb(
            MODELS,
            "export.export",
            (
                "rim-edge export --model path/to/checkpoint",
                "rim-edge export --model path/to/checkpoint --precision fp32 -o mine",
            ),
        ),
        "train": Verb(
            MODELS,
            "train.train",
            (
                "rim-edge train --output my-demo --steps 100",
                "rim-edge train --config recipe.toml --model Qwen3-1.7B -o my-rim",
            ),
        ),
        "merge": Verb(
            MODELS,
            "training.merge.merge",
            (
                "rim-edge merge --model Qwen3-1.7B --adapter my-rim/adapter -o merged",
                "rim-edge merge --model Qwen3-1.7B --adapter my-rim/adapter -o merged --json",
            ),
        ),
        "rollouts": Verb(
            MODELS,
            "rollouts.rollouts",
            (
                "rim-edge rollouts --model Qwen3-1.7B --data train.jsonl -o rollouts",
                "rim-edge rollouts --model Qwen3-1.7B --data train.jsonl --from-steps -o rollouts",
            ),
        ),
        "bench": Verb(
            MACHINE,
            "bench.bench",
            ("rim-edge bench", "rim-edge bench --bundle mine --save today.json"),
        ),
        "serve": Verb(
            MACHINE,
            "serve.serve",
            ("rim-edge serve", "rim-edge serve --bundle mine --jsonl"),
        ),
        "bundle": Verb(MACHINE, "bundle.bundle"),
        "doctor": Verb(MACHINE, "doctor.doctor", ("rim-edge doctor", "rim-edge doctor --json")),
    }
)
