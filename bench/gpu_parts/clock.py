"""Times with device events where there is a GPU, and with the processor's clock where there is none."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch


@dataclass(frozen=True)
class Clock:
    """How things are timed here."""

    device: str
    """`cuda` or `cpu`."""
    most_runs: int
    """Runs of one case, at most."""
    most_s: float
    """Seconds for one case, at most; two runs are always made."""
    warm_ups: int
    """Runs before those that count."""
    ends: float
    """When the whole has to be done, by time.monotonic()."""

    @property
    def is_over(self) -> bool:
        """Whether there is no time for another case."""
        return time.monotonic() > self.ends

    def until(self, share: float) -> Clock:
        """Return a clock that is over when this share of the time left from now is."""
        now = time.monotonic()
        return replace(self, ends=now + share * (self.ends - now))

    def milliseconds(self, work: Callable[[], object]) -> list[float]:
        """Return the time of each run, from its start to the device's being done."""
        for _ in range(self.warm_ups):
            work()
        started, times = time.monotonic(), []
        while len(times) < self.most_runs and (time.monotonic() - started < self.most_s or len(times) < 2):
            times.append(self._once(work))
        return times

    def _once(self, work: Callable[[], object]) -> float:
        if self.device != "cuda":
            started = time.perf_counter()
            work()
            return 1000 * (time.perf_counter() - started)
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        begin.record()
        work()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end)


def summary(times: list[float]) -> dict[str, float]:
    """Return median, 99th percentile and number of runs."""
    last = statistics.quantiles(times, n=100, method="inclusive")[-1]
    return {"p50_ms": round(statistics.median(times), 3), "p99_ms": round(last, 3), "runs": len(times)}
