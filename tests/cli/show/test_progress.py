"""The line that shows the runtime's slow steps on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from rim_runtime import Progress, Stage

from rim_edge.cli import progress


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a terminal would have shown, one line after another."""
    lines: list[str] = []

    @contextmanager
    def terminal() -> Iterator[Callable[[str], None]]:
        yield lines.append

    monkeypatch.setattr(progress, "progress_line", terminal)
    return lines


@pytest.mark.parametrize(
    ("step", "line"),
    [
        (Progress(Stage.HASH, 0, 80, "hashing a"), "hashing a"),
        (Progress(Stage.HASH, 34, 80, "hashing a"), "hashing a, 42 %"),
        (Progress(Stage.COPY, 80, 80, "copying a"), "copying a, 100 %"),
        (Progress(Stage.BUILD_PLAN, 7, 100, "building"), "building, 7 %"),
        (Progress(Stage.LOAD, None, None, "loading"), "loading"),
        (Progress(Stage.SELF_TEST, 1, 4, "self-test 2 of 4"), "self-test 2 of 4"),
    ],
)
def test_a_step_says_its_share_once_it_has_one(shown: list[str], step: Progress, line: str) -> None:
    with progress.runtime_line() as show:
        show(step)
    assert shown == [line]
