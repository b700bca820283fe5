"""What a server counts, in Prometheus' text format (exposition format 0.0.4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
"""Seconds: upper ends of a histogram's parts."""


class Metrics:
    """Counts of one server; the event loop's thread alone changes them."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()
        self._seconds: dict[str, list[float]] = {}
        self._parts: dict[str, list[int]] = {}
        self.letters = 0
        """Questions that were answered with a letter."""
        self.batches = 0
        """Batches that they were asked in."""
        self.tokens = 0
        """Tokens that were written."""

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that has ended."""
        self._requests[route, status] += 1
        sums = self._seconds.setdefault(route, [0.0, 0.0])
        sums[0], sums[1] = sums[0] + seconds, sums[1] + 1
        parts = self._parts.setdefault(route, [0] * len(_BOUNDS))
        for place, bound in enumerate(_BOUNDS):
            parts[place] += seconds <= bound

    def text(self, waiting: int, writing: int) -> str:
        """Return all of it; `waiting` questions and `writing` texts are under way."""
        return "\n".join(self._lines(waiting, writing)) + "\n"

    def _lines(self, waiting: int, writing: int) -> Iterator[str]:
        yield "# TYPE rim_requests_total counter"
        for (route, status), number in sorted(self._requests.items()):
            yield f'rim_requests_total{{route="{route}",status="{status}"}} {number}'
        yield "# TYPE rim_request_seconds histogram"
        for route, (total, count) in sorted(self._seconds.items()):
            for bound, part in zip(_BOUNDS, self._parts[route], strict=True):
                yield f'rim_request_seconds_bucket{{route="{route}",le="{bound:g}"}} {part}'
            yield f'rim_request_seconds_bucket{{route="{route}",le="+Inf"}} {count:.0f}'
            yield f'rim_request_seconds_sum{{route="{route}"}} {total:.6f}'
            yield f'rim_request_seconds_count{{route="{route}"}} {count:.0f}'
        for name, kind, number in (
            ("rim_letters_total", "counter", self.letters),
            ("rim_batches_total", "counter", self.batches),
            ("rim_tokens_total", "counter", self.tokens),
            ("rim_questions_waiting", "gauge", waiting),
            ("rim_texts_under_way", "gauge", writing),
        ):
            yield f"# TYPE {name} {kind}"
            yield f"{name} {number}"
