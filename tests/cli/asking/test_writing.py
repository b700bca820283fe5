"""`rim-edge ask` in words: what is printed, what is refused, and Ctrl-C in a conversation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import Engine, FakeDecoder
from rim_runtime.testing import fake_engine

from rim_edge.cli.asking.conversation import converse
from rim_edge.cli.asking.form import Form
from rim_edge.cli.asking.writing import WritingOptions, write_answer
from tests.places import REPOSITORY
from tests.text_bundle import TextBundle
from tests.text_bundle import text_bundle as text_bundle

Run = Callable[..., Any]
PLAIN = WritingOptions(None, None, None, None)


@pytest.fixture
def ask(run: Run, text_bundle: TextBundle) -> Run:
    return lambda *arguments, **options: run("ask", "-b", str(text_bundle.path), *arguments, **options)


def test_a_question_without_options_is_answered_in_words(ask: Run, text_bundle: TextBundle) -> None:
    with Engine.load(text_bundle.path) as engine:
        text = engine.generate("Where is Ben?", max_tokens=9).result()
    said = ("Where is Ben?", "--max-tokens", "9")
    body = ask(*said, "--json").json
    assert (body["text"], body["tokens"], body["ended"]) == (text.text, list(text.tokens), "limit")
    assert ask(*said, "--raw").out == text.text + "\n"
    shown = ask(*said).out
    assert shown.startswith(text.text + "\n\n")
    assert "8 blocks · ort-cpu · fp32 · 9 tokens, cut there (--max-tokens) · first after " in shown
    assert ask("--max-tokens", "9", "-r", stdin=b"Where is Ben?\n").out == text.text + "\n"
    cut = ask(*said, "--json", "--stop", text.text[3:5], "--stop", "never").json
    assert (cut["text"], cut["ended"]) == (text.text[:3], "stop-text")


def test_the_same_seed_gives_the_same_text(ask: Run) -> None:
    drawn = [ask("Where?", "--temperature", "1", "--seed", seed, "--max-tokens", "9", "-r").out for seed in "112"]
    assert drawn[0] == drawn[1] != drawn[2]


def test_options_still_give_letters(ask: Run) -> None:
    assert ask("Which?", "-c", "this", "-c", "that", "-r").out in ("A\n", "B\n")
    assert ask("Which?\nA: this\nB: that", "-r").out in ("A\n", "B\n")
    assert ask("Which?\nA: this\nB: that", "--no-choices", "--max-tokens", "3", "--json").json["text"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("Which?", "-c", "x", "-c", "y", "--seed", "1"), "--seed: this is for answers in words"),
        (("Where?", "--stop", ""), "A stop text is ''"),
        (("Where?", "--max-tokens", "3000"), "does not fit: the model has 2,048 positions"),
        (("Where?", "--max-tokens", "0"), "expected a whole number of at least 1"),
        (("Where?", "--temperature", "-1"), "expected a number of at least 0"),
        (("--jsonl", "--stop", "x"), "--jsonl and --stop exclude each other"),
    ],
)
def test_wrong_uses_are_refused(ask: Run, given: tuple[str, ...], said: str) -> None:
    done = ask(*given)
    assert done.code == 2
    assert said in done.err


def test_text_of_a_bundle_of_letters_is_refused_before_it_is_loaded(run: Run, tiny_bundle: Path) -> None:
    for typed in (None, "Where?\n\n"):
        asked = ("Where?",) if typed is None else ()
        done = run("ask", *asked, "-b", str(tiny_bundle), "--max-tokens", "3", typed=typed)
        assert done.code == 2
        assert "rim-edge export --answers text" in done.err
    assert run("ask", "Where?", "-b", str(tiny_bundle), "-r").out.strip() in list("ABCDEFGHIJ")


def test_a_conversation_writes_and_goes_on_after_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    decoder = FakeDecoder("in the kitchen")
    say, calls = decoder._say, [0]

    def interrupted(*given: Any) -> Any:
        calls[0] += 1
        if calls[0] == 4:
            raise KeyboardInterrupt
        return say(*given)

    monkeypatch.setattr(decoder, "_say", interrupted)
    engine = fake_engine(decoder=decoder)
    letters: list[str] = []

    class Lines:
        sending = ""
        left = iter(["Where?", "And now?", "Which?\nA: x\nB: y"])

        def read(self) -> str | None:
            return next(self.left, None)

    converse(
        engine,
        None,
        lambda question, answer: letters.append(answer.letter),
        Lines(),
        lambda question: write_answer(engine, question, None, PLAIN, Form.RAW),
    )
    shown = capsys.readouterr()
    assert shown.out == "in in the kitchen\n"
    assert "stopped" in shown.err
    assert len(letters) == 1


def test_a_terminal_obeys_no_control_characters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    from rim_runtime import Question

    engine = fake_engine(decoder=FakeDecoder("a\x1b[31mb\n"))
    write_answer(engine, Question("Where?"), None, PLAIN, Form.RAW)
    assert capsys.readouterr().out == "a\x1b[31mb\n\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    write_answer(engine, Question("Where?"), None, PLAIN, Form.RAW)
    assert capsys.readouterr().out == "a\\x1b[31mb\n\n"


def test_the_program_of_the_page_runs(
    text_bundle: TextBundle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (REPOSITORY / "docs" / "text.md").read_text(encoding="utf-8")
    program = page.split("```python\n")[1].split("```")[0]
    load = Engine.load
    monkeypatch.setattr(Engine, "load", lambda name: load(text_bundle.path))
    exec(program.replace("max_tokens=40", "max_tokens=4").replace('stop="\\n\\n"', "max_tokens=4"), {})
    assert capsys.readouterr().out
