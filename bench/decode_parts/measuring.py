"""Writers that are alive together and asked in turns, each group beside our int8 and beside what memory gives.

Not all of a large model fit the memory at once, so ratios are taken within a group. Each group keeps what was
measured in a file of its own.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cpu_parts.parts import revision
from cpu_parts.questions import encoder_of, prompt_of
from decode_parts.ours import FP32, INT4, INT4_32, INT8, bytes_a_token, our_writer
from decode_parts.peers import genai_writer, llama_writer, openvino_writer, transformers_writer
from decode_parts.setting import Model, Setting
from decode_parts.writer import MANY, ONE, SINGLE_PASS, Writer
from harness.made import read_figures
from harness.place import BENCH
from harness.rounds import TARGET_LENGTH, measure_group
from harness.row import Row
from harness.worker import WorkerDiedError
from real_parts.setting import our_worker_environment

MEMORY, READ = "memory", "read"
"""The row that reads memory, and what it is asked."""
LLAMA, GENAI, OPENVINO, WIDE = "llama_cpp", "genai", "openvino", "wide"
GROUPS = (LLAMA, GENAI, OPENVINO, WIDE)


def group_of(setting: Setting, model: Model, name: str) -> tuple[Writer, ...]:
    """Return the writers of a group, our int8 first."""
    others: Mapping[str, Any] = {
        LLAMA: lambda: (
            our_writer(setting, model, INT4),
            our_writer(setting, model, INT4_32),
            *(llama_writer(setting, model, kind) for kind in ("Q8_0", "Q4_0")),
        ),
        GENAI: lambda: tuple(genai_writer(setting, model, precision) for precision in ("int8", "int4")),
        OPENVINO: lambda: tuple(openvino_writer(setting, model, precision) for precision in ("int8", "int4")),
        WIDE: lambda: (our_writer(setting, model, FP32), transformers_writer(setting, model)),
    }
    return (our_writer(setting, model, INT8), *others[name]())


def measure(setting: Setting, model: Model, group: str, writers: Sequence[Writer]) -> dict[str, Any]:
    """Measure a group; return and keep what was found."""
    begun, started = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), time.perf_counter()
    prompt = _prompt(setting, model)
    rows = [*(writer.row() for writer in writers), _memory_row(setting)]
    try:
        found = measure_group(setting.place, rows, {TARGET_LENGTH: prompt}, {TARGET_LENGTH: setting.rounds})
    except WorkerDiedError as error:
        found = {"rows": {}, "missing": {group: f"a worker died: {error}"}}
    gigabytes = _gigabytes_a_second(found["rows"].pop(MEMORY, None))
    result = {
        "begun": begun,
        "revision": revision(),
        "prompt_tokens": TARGET_LENGTH,
        "tokens": setting.tokens,
        "samples": setting.samples,
        "gigabytes_a_second": gigabytes,
        "rows": {name: _figures(row, _bytes(writers, name)) for name, row in found["rows"].items()},
        "missing": found["missing"],
        "seconds": round(time.perf_counter() - started, 1),
    }
    setting.part(model, group).parent.mkdir(parents=True, exist_ok=True)
    setting.part(model, group).write_text(json.dumps(result, indent=1) + "\n")
    return result


def _prompt(setting: Setting, model: Model) -> dict[str, Any]:
    """Return a prompt of TARGET_LENGTH tokens, as text segment for the single pass and as ids for everybody."""
    bundle = setting.made(model, INT8)
    if "failed" in (figures := read_figures(bundle)):
        raise SystemExit(f"{INT8} of {model.name}, beside which everybody is measured: {figures['failed']}")
    encoder = encoder_of(bundle)
    asked = prompt_of(encoder, TARGET_LENGTH)
    segment = list(encoder.compose(asked["question"]).question)
    return asked | {"segment": segment, "tokens": setting.tokens, "samples": setting.samples}


def _memory_row(setting: Setting) -> Row:
    worker = BENCH / "workers" / "decode" / "read_memory.py"
    environment = our_worker_environment(setting.place)
    return Row(MEMORY, (sys.executable, str(worker)), environment, worker, 0, asks=(READ,))


def _gigabytes_a_second(row: Mapping[str, Any] | None) -> float | None:
    """Return how fast memory was read: the faster way's median over the rounds, in 10⁹ bytes a second."""
    if row is None:
        return None
    rounds = row["answers"][READ][str(TARGET_LENGTH)]
    return round(max(statistics.median(one[way] for one in rounds) for way in rounds[0]) / 1e9, 2)


def _bytes(writers: Sequence[Writer], name: str) -> int | None:
    writer = next(one for one in writers if one.name == name)
    if writer.ours:
        return bytes_a_token(writer.model)
    files = list(Path(writer.model).glob("*.gguf"))
    return files[0].stat().st_size if files else None


def _figures(row: Mapping[str, Any], read: int | None) -> dict[str, Any]:
    """Return a row's medians, the first round apart."""
    length = str(TARGET_LENGTH)
    answers = {ask: row["answers"][ask][length][1:] for ask in (ONE, MANY)}
    median = {
        (ask, field): statistics.median(one[field] for one in answers[ask])
        for ask in answers
        for field in ("first_s", "decode_s")
    }
    tokens = {ask: answers[ask][0]["tokens"] for ask in answers}
    single = row["times"].get(SINGLE_PASS, {}).get(length)
    return {
        "ours": row["ours"],
        "note": row["note"],
        "first_token_s": round(median[ONE, "first_s"], 4),
        "single_pass_s": single and single["p50_s"],
        "token_ms": round(1000 * median[ONE, "decode_s"] / tokens[ONE], 2),
        "tokens_a_second": round(tokens[ONE] / median[ONE, "decode_s"], 2),
        "many_first_token_s": round(median[MANY, "first_s"], 4),
        "many_tokens_a_second": round(tokens[MANY] / median[MANY, "decode_s"], 2),
        "bytes_a_token": read,
        "memory_gib": row["memory_gib"],
        "disk_bytes": row["disk_bytes"],
        "start_s": row["start_s"],
        "text": answers[ONE][0]["text"],
        "ready": row["ready"],
    }
