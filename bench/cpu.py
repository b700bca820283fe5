"""Side by side on this CPU: the model card's snippet, its forward pass, and our fp32 and int8 bundles.

    python bench/cpu.py --tokenizer DIR [--layers 28] [--rounds 9] [--work build/bench] [--out FILE]

Qwen3-1.7B's geometry with random weights. Both exports run through `rim-edge export` and are timed, with
their peak memory. Then all four are alive at once, each in a process of its own, and asked in turns; the
first question of each is reported apart. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from checkpoint import make_checkpoint
from machine import describe_machine
from rim_runtime import Bundle
from rim_runtime.prompt import PromptEncoder

HERE = Path(__file__).parent
PROMPT_TOKENS = 152
GIB = 2**30


@dataclass
class Worker:
    """A process that answers when it is told to."""

    process: subprocess.Popen[str]
    load_s: float
    seconds: dict[str, list[float]] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def start(cls, kind: str, path: Path) -> Worker:
        """Start a worker of workers.py and wait until it is ready."""
        process = subprocess.Popen(
            [sys.executable, str(HERE / "workers.py"), kind, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        worker = cls(process, 0.0)
        worker.load_s = worker._hear()["load_s"]
        return worker

    def ask(self, name: str, question: str) -> None:
        """Ask once and keep the time."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"ask": name, "question": question}) + "\n")
        self.process.stdin.flush()
        message = self._hear()
        self.seconds.setdefault(name, []).append(message["seconds"])
        self.results[name] = message["result"]

    def _hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return dict(json.loads(self.process.stdout.readline()))

    def memory_gib(self) -> dict[str, float]:
        """Return resident memory now and at its peak, and the private part of now, in GiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in status if line.endswith(" kB")}
        names = {"resident": "VmRSS", "peak": "VmHWM", "private": "RssAnon"}
        return {name: round(kilobytes[key] * 1024 / GIB, 2) for name, key in names.items()}

    def stop(self) -> None:
        """Let it end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def export(checkpoint: Path, bundle: Path, precision: str) -> dict[str, Any]:
    """Run `rim-edge export` in a process of its own; return its time, peak memory and certificate."""
    command = [sys.executable, "-m", "rim_edge", "export", "--model", str(checkpoint), "-o", str(bundle)]
    command += ["--precision", precision, "--max-flips", "1.0", "--json"]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"export of {precision} failed")
    report = json.loads(text)
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "peak_gib": round(usage.ru_maxrss * 1024 / GIB, 2),
        "bundle_gb": round(report["bytes"] / 1e9, 3),
        "certificate": report["certificate"]["variants"][0],
    }


def question_of(bundle: Path, tokens: int) -> str:
    """Return a question whose whole prompt has exactly this many tokens."""
    loaded = Bundle.load(bundle)
    limit = loaded.manifest.limits.question_tokens
    encoder = PromptEncoder.load(loaded.manifest.prompt, bundle / "tokenizer.json", limit)
    text = "Which of these is right?\nA: one\nB: two"
    while len(encoder.compose(text).ids) < tokens:
        text = "and " + text
    assert len(encoder.compose(text).ids) == tokens
    return text


def measure(checkpoint: Path, bundles: dict[str, Path], rounds: int) -> dict[str, Any]:
    """Ask all in turns; return times in seconds and memory by name."""
    question = question_of(bundles["int8"], PROMPT_TOKENS)
    workers = {name: Worker.start("bundle", path) for name, path in bundles.items()}
    workers["transformers"] = Worker.start("transformers", checkpoint)
    turns = [("transformers", "snippet"), ("transformers", "forward"), ("fp32", "ask"), ("int8", "ask")]
    for number in range(rounds + 1):  # the first round is each one's first request
        for name, ask in turns:
            workers[name].ask(ask, question)
            print(f"round {number}: {name} {ask} {workers[name].seconds[ask][-1]:.3f} s", file=sys.stderr)
    results = {f"{name} {ask}": _summary(workers[name], ask) for name, ask in turns}
    for worker in workers.values():
        worker.stop()
    return results


def _summary(worker: Worker, ask: str) -> dict[str, Any]:
    first, *warm = worker.seconds[ask]
    return {
        "p50_s": round(statistics.median(warm), 4),
        "p90_s": round(statistics.quantiles(warm, n=10, method="inclusive")[-1], 4),
        "first_s": round(first, 4),
        "load_s": round(worker.load_s, 3),
        "memory_gib": worker.memory_gib(),
        "result": worker.results[ask],
    }


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--tokenizer", type=Path, required=True, help="folder with Qwen3-1.7B's tokenizer and config"
    )
    parser.add_argument("--layers", type=int, default=28)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--work", type=Path, default=Path("build/bench"))
    parser.add_argument("--out", type=Path, default=HERE / "results" / "cpu.json")
    options = parser.parse_args()
    checkpoint = make_checkpoint(options.work / f"checkpoint-{options.layers}", options.tokenizer, options.layers)
    bundles = {name: options.work / f"{name}-{options.layers}" for name in ("int8", "fp32")}
    exports = {name: export(checkpoint, path, name) for name, path in bundles.items()}
    times = measure(checkpoint, bundles, options.rounds)
    base = times["transformers snippet"]["p50_s"]
    result = {
        "what": f"Qwen3-1.7B geometry, {options.layers} layers, random weights; {PROMPT_TOKENS} tokens",
        "machine": describe_machine(),
        "rounds": options.rounds,
        "export": exports,
        "ask": times,
        "times_faster_than_snippet": {name: round(base / row["p50_s"], 2) for name, row in times.items()},
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    for name, row in times.items():
        times_faster = base / row["p50_s"]
        print(f"{name:24} p50 {row['p50_s']:7.3f} s  p90 {row['p90_s']:7.3f} s  {times_faster:5.2f} x the snippet")


if __name__ == "__main__":
    main()
