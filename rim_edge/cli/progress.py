"""Progress of work whose amount is known: on a terminal a bar with the time left, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from rim_edge.cli.output import progress_line
from rim_edge.cli.show.numbers import clock

if TYPE_CHECKING:
    from rim_runtime.progress import OnProgress, Progress

Advance = Callable[[int], None]
"""Called with how much more is done."""
_SECONDS_BETWEEN_LINES = 30.0


@contextmanager
def counted(what: str, total: int) -> Iterator[Advance]:
    """Show on stderr how much of `total` is done; `what` names it, as in "answering"."""
    if not sys.stderr.isatty():
        yield _Lines(what, total)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=total)
        yield lambda done: shown.advance(task, done)


@contextmanager
def runtime_line() -> Iterator[OnProgress]:
    """Give what shows the runtime's slow steps in one changing line on a terminal, and nothing elsewhere."""
    with progress_line() as show:
        yield lambda step: show(_line(step))


def _line(step: Progress) -> str:
    """Return a step's text, with the share that is done once there is one; a count in the text is enough."""
    from rim_runtime.progress import Stage

    if not step.share or step.stage is Stage.SELF_TEST:
        return step.text
    return f"{step.text}, {100 * step.share:.0f} %"


class _Lines:
    """Says on stderr, twice a minute, how much is done and how long the rest takes at this pace."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, total, 0
        self._started = self._said = time.monotonic()

    def __call__(self, done: int) -> None:
        self._done += done
        now = time.monotonic()
        if now - self._said < _SECONDS_BETWEEN_LINES or self._done >= self._total:
            return
        self._said = now
        left = (now - self._started) * (self._total - self._done) / self._done
        with suppress(OSError):
            print(
                f"{self._what}: {self._done:,} of {self._total:,}, {clock(left)} left", file=sys.stderr, flush=True
            )
