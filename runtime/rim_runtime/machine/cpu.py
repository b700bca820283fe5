"""The processor of this machine and its features, as far as the platform reports them without running anything."""

from __future__ import annotations

import functools
import os
import platform
from dataclasses import dataclass
from pathlib import Path

from rim_runtime.machine.cpu_quota import cpu_quota

_CPUINFO = Path("/proc/cpuinfo")
_INTERESTING = (
    ("avx2", "avx2"),
    ("avx512f", "avx512f"),
    ("avx_vnni", "avx_vnni"),
    ("avx512_vnni", "avx512_vnni"),
    ("amx_int8", "amx_int8"),
    ("asimddp", "dotprod"),
    ("i8mm", "i8mm"),
)
"""Flags of /proc/cpuinfo that decide how fast an int8 graph runs, and the names shown for them."""


@dataclass(frozen=True)
class Cpu:
    """The processor, as far as it is known."""

    name: str
    """Its marketing name, or the architecture if the platform does not report one."""
    machine: str
    """Architecture: x86_64, arm64, …"""
    features: tuple[str, ...] | None
    """Instruction sets that matter for int8; None if the platform does not report them."""
    cores: int | None
    """Physical cores that this process may use; None if the platform does not report them."""

    @property
    def fingerprint(self) -> str:
        """One line that identifies the processor."""
        return f"{self.name} ({self.machine}; {' '.join(self.features or ('features unknown',))})"


@functools.cache
def this_cpu() -> Cpu:
    """Return this machine's processor; it is looked at once."""
    machine = platform.machine().lower()
    processors = _read_cpuinfo()
    first = processors[0] if processors else {}
    name = first.get("model name") or platform.processor() or machine
    flags = first.get("flags") or first.get("Features")
    features = None if flags is None else tuple(shown for flag, shown in _INTERESTING if flag in flags.split())
    return Cpu(name, machine, features, _usable_cores(processors))


def _read_cpuinfo() -> list[dict[str, str]]:
    try:
        text = _CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    blocks = [block for block in text.split("\n\n") if block.strip()]
    return [
        {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in block.splitlines())}
        for block in blocks
    ]


def _usable_cores(processors: list[dict[str, str]]) -> int | None:
    """Count physical cores within this process's affinity mask and container quota."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    allowed = os.sched_getaffinity(0)
    cores = {
        (entry.get("physical id", "0"), entry.get("core id", entry["processor"]))
        for entry in processors
        if entry.get("processor", "").isdigit() and int(entry["processor"]) in allowed
    }
    return max(1, min(len(cores) or len(allowed), cpu_quota() or len(allowed)))
