"""Letters: which answers to medical questions a candidate changes, without memory blocks and with all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from harness.worker import Worker
from real_parts.candidate import Candidate
from real_parts.setting import Setting
from rim_export.certification.comparison import near_tie
from rim_runtime.bundle.manifest import Precision
from rim_runtime.prompt.options import LETTERS, offered_letters

Logits = np.ndarray
"""Letters' logits, float64 [questions, letters]."""


def letter_logits(setting: Setting, candidate: Candidate, requests: Sequence[dict[str, Any]]) -> Logits:
    """Return a candidate's answers."""
    worker = Worker.start(candidate.row(), setting.place.log(f"letters {candidate.name}"))
    try:
        return np.array([worker.ask("letters", request).result for request in requests])
    finally:
        worker.stop()


def edit_differs(setting: Setting, candidate: Candidate, request: dict[str, Any]) -> float:
    """Return how far our edited graph's letters are from those of the bundle that it was made of, in logits."""
    worker = Worker.start(candidate.row(), setting.place.log(f"edit {candidate.name}"))
    try:
        return float(f"{worker.ask('edit_differs', request).result:.3g}")
    finally:
        worker.stop()


def reference_letters(
    setting: Setting, reference: Candidate, name: str, requests: Sequence[dict[str, Any]]
) -> Logits:
    """Return the reference's answers, computed once."""
    file: Path = setting.work / f"letters-{name}-{len(requests)}-{setting.rim_checkpoint.stat().st_mtime_ns}.npy"
    if not file.is_file():
        np.save(file, letter_logits(setting, reference, requests))
    found: Logits = np.load(file)
    return found


def compare(texts: Sequence[str], reference: Logits, logits: Logits) -> dict[str, Any]:
    """Return flips, how many of them go to a letter as likely to the reference, and the mean KL."""
    offered = np.array([[letter in (offered_letters(text) or LETTERS) for letter in LETTERS] for text in texts])
    theirs, ours = (np.where(offered, values, -np.inf) for values in (reference, logits))
    flipped = theirs.argmax(1) != ours.argmax(1)
    regrets = theirs.max(1) - theirs[np.arange(len(theirs)), ours.argmax(1)]
    near = regrets < near_tie(Precision.INT8)
    expected, found = _log_softmax(theirs), _log_softmax(ours)
    with np.errstate(invalid="ignore"):
        kl = np.where(offered, np.exp(expected) * (expected - found), 0.0).sum(1)
    return {
        "questions": len(texts),
        "flips": int(flipped.sum()),
        "near_ties": int((flipped & near).sum()),
        "kl": float(f"{kl.mean():.4g}"),
    }


def _log_softmax(values: Logits) -> Logits:
    shifted = values - values.max(1, keepdims=True)
    result: Logits = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return result
