"""Real text: how much of the checkpoint's prediction of each next token a candidate keeps.

Every candidate reads the same token ids and gives the logits of every position; the reference is transformers in
fp32.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness.worker import Worker
from real_parts.candidate import Candidate
from real_parts.setting import Setting


def read_rows(setting: Setting, asked: Candidate, texts: Sequence[Sequence[int]], folder: Path) -> None:
    """Write a candidate's logits of every text to `folder`, float32 [tokens, vocabulary] each."""
    worker = Worker.start(asked.row(), setting.place.log(f"text {asked.name}"))
    try:
        for number, ids in enumerate(texts):
            worker.ask("rows", {"ids": list(ids), "target": str(folder / f"{number}.npy")})
    finally:
        worker.stop()


def reference_folder(setting: Setting, reference: Candidate, texts: Sequence[Sequence[int]]) -> Path:
    """Return the folder of the reference's logits, which are computed once: 200 kB a token."""
    named = json.dumps([setting.rim_checkpoint.stat().st_mtime_ns, *map(list, texts)])
    folder = setting.work / "reference" / hashlib.sha256(named.encode()).hexdigest()[:16]
    if not folder.is_dir():
        unfinished = folder.with_suffix(".unfinished")
        unfinished.mkdir(parents=True, exist_ok=True)
        read_rows(setting, reference, texts, unfinished)
        unfinished.rename(folder)
    return folder


def measure_text(
    setting: Setting, candidate: Candidate, texts: Sequence[Sequence[int]], reference: Path
) -> dict[str, Any]:
    """Return tokens, the share of likeliest next tokens that are kept, and the mean KL a token (nats)."""
    worker = Worker.start(candidate.row(), setting.place.log(f"text {candidate.name}"))
    kept, divergence = [], []
    target = setting.work / "rows.npy"
    try:
        for number, ids in enumerate(texts):
            worker.ask("rows", {"ids": list(ids), "target": str(target)})
            same, kl = compare(np.load(reference / f"{number}.npy"), np.load(target))
            kept.append(same)
            divergence.append(kl)
        ready = worker.ready
    finally:
        worker.stop()
        target.unlink(missing_ok=True)
    every = np.concatenate(divergence)
    return {
        "tokens": len(every),
        "top1_kept": round(float(np.concatenate(kept).mean()), 5),
        "kl": float(f"{every.mean():.4g}"),
        "kl_standard_error": float(f"{every.std() / len(every) ** 0.5:.2g}"),
        "by": ready,
    }


def compare(reference: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each row of two logits [tokens, vocabulary], whether the likeliest is the same, and the KL."""
    if reference.shape != logits.shape or not np.isfinite(logits).all():
        raise ValueError(f"found logits {logits.shape}, expected finite ones, {reference.shape}")
    theirs, ours = (torch.from_numpy(values).double().log_softmax(-1) for values in (reference, logits))
    kl = (theirs.exp() * (theirs - ours)).sum(-1)
    return (theirs.argmax(-1) == ours.argmax(-1)).numpy(), kl.numpy()
