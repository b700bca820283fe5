"""The conversation of `rim-edge ask` on a terminal: what is sent, pasted, meant as a command, and how it ends."""

from __future__ import annotations

import asyncio
import os
import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput
from rim_runtime import Question, QuestionError

from rim_edge.cli.asking.conversation import converse
from rim_edge.cli.asking.terminal import EditingReader, LineReader, reader_for

VIGNETTE = "A 24-year-old man…\n\nWhich vitamin is lacking?\n\nA. Vitamin A\nB. Vitamin C\n\n"
ENTER, NEW_LINE, CTRL_C, CTRL_D = "\r", "\x1b\r", "\x03", "\x04"


def pasted(text: str) -> str:
    return f"\x1b[200~{text}\x1b[201~"


class Heard:
    """What only listens."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, question: Question) -> None:
        self.asked.append(question.text)
        if question.text == "bad":
            raise QuestionError("The question is bad.")
        if question.text == "slow":
            raise KeyboardInterrupt


@pytest.fixture
def terminal() -> Iterator[PipeInput]:
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        yield keys


def told(terminal: PipeInput, keys: str) -> list[str]:
    """Return what is asked when these keys come; Ctrl-D ends it."""
    heard = Heard()
    terminal.send_text(keys + CTRL_D)
    converse(heard, EditingReader())
    return heard.asked


@pytest.mark.parametrize(
    ("keys", "asked"),
    [
        ("Why?" + ENTER + "Who?" + ENTER, ["Why?", "Who?"]),
        (pasted(VIGNETTE) + ENTER, [VIGNETTE.rstrip("\n")]),
        (pasted(VIGNETTE.replace("\n", "\r\n")) + ENTER, [VIGNETTE.rstrip("\n")]),
        (pasted(VIGNETTE.replace("\n", "\r")) + ENTER + pasted("Who?\n") + ENTER, [VIGNETTE.rstrip("\n"), "Who?"]),
        ("Answer this: " + pasted("Which?\n\nA: x\nB: y") + ENTER, ["Answer this: Which?\n\nA: x\nB: y"]),
        ("Which?" + NEW_LINE + "A: x" + NEW_LINE + "B: y" + ENTER, ["Which?\nA: x\nB: y"]),
        ("Which?\\" + ENTER + "A: x\\" + ENTER + "B: y" + ENTER, ["Which?\nA: x\nB: y"]),
        (ENTER + "  " + ENTER + "Why?" + ENTER, ["Why?"]),
        ("wrong" + CTRL_C + "Why?" + ENTER, ["Why?"]),
        (CTRL_C + "Why?" + ENTER, ["Why?"]),
        (CTRL_C + CTRL_C + "Why?" + ENTER, []),
        ("/help" + ENTER + "help" + ENTER + "Why?" + ENTER, ["Why?"]),
        ("/quit" + ENTER + "Why?" + ENTER, []),
        ("exit" + ENTER + "Why?" + ENTER, []),
        ("/quti" + ENTER + "/blocks 3" + ENTER + " /quti" + ENTER, [" /quti"]),
        ("/etc/passwd is what?" + ENTER + "help me" + ENTER, ["/etc/passwd is what?", "help me"]),
        ("bad" + ENTER + "slow" + ENTER + "Why?" + ENTER, ["bad", "slow", "Why?"]),
    ],
)
def test_what_is_asked(terminal: PipeInput, keys: str, asked: list[str]) -> None:
    assert told(terminal, keys) == asked


def test_a_signal_may_come_when_its_question_has_ended(terminal: PipeInput) -> None:
    """Its callback waits in the event loop then, as where a terminal does not say where its cursor is."""
    reader = EditingReader()
    terminal.send_text("Why?" + ENTER)
    assert reader.read() == "Why?"

    async def late() -> None:
        reader._session.app.key_processor.send_sigint()

    asyncio.run(late())
    terminal.send_text("Who?" + ENTER)
    assert reader.read() == "Who?"


def test_what_is_said(terminal: PipeInput, capsys: pytest.CaptureFixture[str]) -> None:
    told(terminal, "/help" + ENTER + "/quti" + ENTER + "bad" + ENTER + "slow" + ENTER + CTRL_C)
    said = capsys.readouterr().err
    assert "Enter sends it" in said.splitlines()[0] and "/help" in said.splitlines()[0]
    assert "Options go on lines of their own" in said
    assert "There is no /quti; /help says what there is." in said
    assert "error: The question is bad." in said
    assert "stopped; Ctrl-D leaves" in said
    assert "Ctrl-C again or Ctrl-D leaves." in said


def test_a_terminal_that_can_do_nothing_is_read_by_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    class Typed:
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(reader_for(Typed(), Typed()), LineReader)  # type: ignore[arg-type]
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(reader_for(Typed(), sys.stdin), LineReader)  # type: ignore[arg-type]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals here")
def test_a_vignette_pasted_into_a_real_terminal_has_one_answer(tiny_bundle: Path) -> None:
    import pty

    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = "xterm"
        command = [sys.executable, "-m", "rim_edge", "ask", "--raw", "--bundle", str(tiny_bundle)]
        os.execv(sys.executable, command)
    try:
        wait_for(terminal, b"?2004h")
        os.write(terminal, (pasted(VIGNETTE) + ENTER).encode())
        shown = wait_for(terminal, b"?2004l", b"?2004h")
        os.write(terminal, b"/quit\r")
        _, status = os.waitpid(child, 0)
    finally:
        os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0
    answers = [line for line in shown.split(b"?2004l", 1)[1].splitlines() if line.strip() in (b"A", b"B")]
    assert len(answers) == 1


def wait_for(terminal: int, *signs: bytes) -> bytes:
    """Return what the terminal shows until these signs have come; its question where the cursor is is answered."""
    shown = b""
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        new = os.read(terminal, 65_536)
        shown += new
        if b"\x1b[6n" in new:
            os.write(terminal, b"\x1b[1;1R")
        rest = shown
        for sign in signs:
            _, found, rest = rest.partition(sign)
            if not found:
                break
        else:
            return shown
    raise AssertionError(f"{signs!r} did not come in {shown[-500:]!r}")
