"""The parts of a measurement. Each keeps its rows in a file of its own, so that a run can go on where it ended."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from cpu_parts.questions import encoder_of
from harness.made import read_figures
from harness.rounds import TARGET_LENGTH, measure_group
from harness.worker import WorkerDiedError
from real_parts import letters, text
from real_parts.candidate import Candidate
from real_parts.ours import FP32, LETTERS
from real_parts.questions import medical_questions, request_of, texts, timed_request
from real_parts.setting import Setting

PARTS = ("text", "letters", "time")
NO_BLOCKS, ALL_BLOCKS = "0 blocks", "all blocks"


def measure_text(setting: Setting, candidates: Sequence[Candidate], reference: Candidate) -> dict[str, Any]:
    """Measure the error on text of every candidate that was not measured as it is."""
    ids = texts(setting)
    folder = text.reference_folder(setting, reference, ids)

    def measure(candidate: Candidate) -> dict[str, Any]:
        return text.measure_text(setting, candidate, ids, folder)

    return _row_by_row(setting, "text", f"{setting.text.name} {setting.tokens}", candidates, measure)


def measure_letters(setting: Setting, candidates: Sequence[Candidate], reference: Candidate) -> dict[str, Any]:
    """Measure flipped letters of every candidate that was not measured as it is."""
    bundle = setting.made(FP32) / LETTERS
    encoder = encoder_of(bundle)
    questions = [question.text for question in medical_questions(setting)]
    asked = {
        name: [request_of(bundle, encoder, question, blocks) for question in questions]
        for name, blocks in ((NO_BLOCKS, 0), (ALL_BLOCKS, encoder.contract.blocks))
    }
    expected = {
        name: letters.reference_letters(setting, reference, name.replace(" ", "-"), requests)
        for name, requests in asked.items()
    }

    def measure(candidate: Candidate) -> dict[str, Any]:
        found: dict[str, Any] = {
            name: letters.compare(questions, expected[name], letters.letter_logits(setting, candidate, requests))
            for name, requests in asked.items()
        }
        if candidate.ours:
            found["edit_differs"] = letters.edit_differs(setting, candidate, asked[ALL_BLOCKS][0])
        return found

    examined = [candidate for candidate in candidates if candidate.exams]
    return _row_by_row(setting, "letters", str(setting.questions), examined, measure)


def measure_time(setting: Setting, candidates: Sequence[Candidate]) -> dict[str, Any]:
    """Ask all candidates one prompt in turns; all are measured again."""
    bundle = setting.made(FP32) / LETTERS
    rows_asked = [candidate.row() for candidate in candidates]
    requests, rounds = {TARGET_LENGTH: timed_request(bundle)}, {TARGET_LENGTH: setting.rounds}
    group = measure_group(setting.place, rows_asked, requests, rounds)
    times = {name: row["times"]["letters"][str(TARGET_LENGTH)] for name, row in group["rows"].items()}
    rows = {name: found | {"memory_gib": group["rows"][name]["memory_gib"]} for name, found in times.items()}
    if FP32 in times:
        for found in rows.values():
            found["of_fp32"] = round(found["p50_s"] / times[FP32]["p50_s"], 3)
    return _keep(setting, "time", {"rows": rows, "missing": group["missing"], "prompt_tokens": TARGET_LENGTH})


def read_part(setting: Setting, part: str) -> dict[str, Any]:
    """Return what was measured of a part so far."""
    file = setting.part(part)
    return dict(json.loads(file.read_text())) if file.is_file() else {"rows": {}, "missing": {}}


def _row_by_row(
    setting: Setting,
    part: str,
    asked: str,
    candidates: Sequence[Candidate],
    measure: Callable[[Candidate], dict[str, Any]],
) -> dict[str, Any]:
    known = read_part(setting, part)
    for candidate in candidates:
        recipe = f"{asked} of {read_figures(setting.made(candidate.name)).get('recipe')}"
        if known["rows"].get(candidate.name, {}).get("recipe") == recipe:
            continue
        started = time.perf_counter()
        known["missing"].pop(candidate.name, None)
        try:
            row = measure(candidate)
        except WorkerDiedError as error:
            known["missing"][candidate.name] = str(error)
            known["rows"].pop(candidate.name, None)
        else:
            known["rows"][candidate.name] = row | {
                "recipe": recipe,
                "seconds": round(time.perf_counter() - started, 1),
            }
        told = {key: value for key, value in known["rows"].get(candidate.name, {}).items() if key != "recipe"}
        print(f"{part}: {candidate.name}: {told or known['missing'][candidate.name]}", file=sys.stderr)
        _keep(setting, part, known)
    return known


def _keep(setting: Setting, part: str, found: dict[str, Any]) -> dict[str, Any]:
    setting.part(part).write_text(json.dumps(found, indent=1) + "\n")
    return found
