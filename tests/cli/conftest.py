"""Run the command line in this process and look at what it printed and how it ended."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rim_runtime.bundle import names

from rim_edge.cli import main
from tests.cli.schemas import check_output


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its stdout, which must be one line of JSON."""
        assert self.out.endswith("\n")
        assert self.out.count("\n") == 1
        return json.loads(self.out)


Run = Callable[..., Outcome]


class Typed(io.TextIOWrapper):
    """A stdin that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `rim-edge …`; `stdin` is piped bytes, `typed` is text from a terminal."""

    def run_command(*arguments: str, stdin: bytes = b"", typed: str | None = None) -> Outcome:
        piped = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
        monkeypatch.setattr(sys, "stdin", piped if typed is None else Typed(io.BytesIO(typed.encode())))
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        captured = capsys.readouterr()
        code = stopped.value.code
        check_output(arguments, captured.out)
        return Outcome(code if isinstance(code, int) else 0, captured.out, captured.err)

    return run_command


@pytest.fixture
def demo_bundle(make_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny bundle in the embedded demo's place."""
    path = make_bundle("demo-bundle")
    monkeypatch.setattr(names, "demo_folder", lambda: path)
    return path


@pytest.fixture(scope="session")
def one_conversion_a_model() -> Iterator[None]:
    """Let exports share conversions; for tests that export."""
    from tests.conversions import shared_conversions

    with shared_conversions():
        yield
