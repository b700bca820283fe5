"""The experiments are no installed package: they are imported from the repository's root."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest

from tests.places import REPOSITORY

sys.path.append(str(REPOSITORY))


class InProcess:
    """Runs `rim-edge` in this process and keeps what was called."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.called: list[Sequence[str]] = []
        self._capsys = capsys

    def __call__(self, words: Sequence[str], threads: int | None) -> str:
        from rim_edge.cli import main

        self.called.append(words)
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main(words)
        captured = self._capsys.readouterr()
        assert stopped.value.code in (0, None), captured.err
        return captured.out


@pytest.fixture
def in_process(capsys: pytest.CaptureFixture[str]) -> InProcess:
    return InProcess(capsys)
