"""Memory in use: of the device where there is a GPU, else of this process."""

from __future__ import annotations

import gc
import re
from dataclasses import dataclass
from pathlib import Path

import torch

_RESIDENT = re.compile(r"VmRSS:\s+(\d+) kB")


def used_gib(device: str) -> float:
    """Return what is in use: on `cuda` by everybody, as the driver counts it; on `cpu` by this process."""
    if device == "cuda":
        free, total = torch.cuda.mem_get_info()
        return (total - free) / 2**30
    found = _RESIDENT.search(Path("/proc/self/status").read_text())
    return int(found[1]) / 2**20 if found else 0.0


def free(device: str) -> None:
    """Give back what is no longer needed, so that the next figure does not count it."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()


@dataclass(frozen=True)
class Baseline:
    """What was in use before something was loaded."""

    device: str
    before_gib: float

    @classmethod
    def now(cls, device: str) -> Baseline:
        """Give back what can be, and look."""
        free(device)
        return cls(device, used_gib(device))

    def taken_gib(self) -> float:
        """Return what has come on top: weights, activations, contexts, the library itself."""
        return round(used_gib(self.device) - self.before_gib, 3)
