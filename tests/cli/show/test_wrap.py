"""Lines break between words on a terminal, and nowhere in a pipe."""

from __future__ import annotations

import io
import sys

import pytest
from rich.cells import cell_len
from rich.console import Console
from rim_runtime.answer import Answer, lead_of
from rim_runtime.bundle.manifest import Precision

from rim_edge.cli.output import note
from rim_edge.cli.show import answer as shown
from rim_edge.cli.show.wrap import print_wrapped

TEXT = (
    "no clear answer: B (many leafy green vegetables) leads by 4 points · 98 % · 1,234 ms · 日本語のテキスト done"
)


def terminal(width: int) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None, soft_wrap=True)


def printed(out: Console) -> list[str]:
    return out.file.getvalue().rstrip("\n").split("\n")  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [80, 60, 40, 24])
def test_a_terminal_gets_whole_words(width: int) -> None:
    out = terminal(width)
    print_wrapped(out, TEXT)
    lines = printed(out)
    assert all(cell_len(line) <= width and line.startswith("  ") for line in lines)
    assert " ".join(line.strip() for line in lines) == TEXT
    assert not any(line.strip().startswith(("%", "ms")) for line in lines), "a number keeps its unit"


def test_what_a_number_is_of_stays_before_it() -> None:
    out = terminal(24)
    print_wrapped(out, "block 1: 98.0 %  2: 7.5 %  13: 100.0 %")
    assert printed(out) == ["  block 1: 98.0 %", "  2: 7.5 %  13: 100.0 %"]


def test_a_pipe_gets_the_line_whole() -> None:
    out = Console(file=io.StringIO(), width=24, soft_wrap=True)
    print_wrapped(out, TEXT)
    assert printed(out) == [f"  {TEXT}"]


def test_a_path_stays_whole() -> None:
    out = terminal(24)
    path = f"/home/{'x' * 60}/bundle"
    print_wrapped(out, f"in {path} there")
    assert printed(out) == ["  in", f"  {path}", "  there"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("width", [80, 40, 24])
def test_notes_break_between_words(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", str(width))
    text = "this is the embedded demo, a toy that answers three kinds of puzzle and knows nothing else"
    note(text)
    lines = stream.getvalue().rstrip("\n").split("\n")
    assert " ".join(lines) == f"note: {text}"
    assert all(len(line) <= width for line in lines)


@pytest.mark.parametrize("width", [80, 60, 40, 24])
def test_an_answer_fits_any_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """Percentages are always there; where an option has no room, the headline has the answer's."""
    out = terminal(width)
    monkeypatch.setattr(shown, "console", lambda: out)
    shares = {"A": 0.02, "B": 0.98}
    answer = Answer(
        "B", "many leafy greens", shares, {}, 0.98, lead_of(shares), 8, "ort-cpu", Precision.INT8, "b", 4.4
    )
    shown.print_answer(
        answer, {"A": "x" * 50, "B": "many leafy greens"}, known="right on 97.8 % of the 224 questions"
    )
    lines = printed(out)
    assert all(cell_len(line) <= width for line in lines)
    assert " ".join(" ".join(lines).split()).count("many leafy greens") >= 1
    assert sum(line.startswith(("  A  ", "  B  ")) and " %" in line for line in lines) == 2
