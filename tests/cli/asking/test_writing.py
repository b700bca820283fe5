"""`rim-edge ask` in words: what is printed, what is refused, and Ctrl-C in a conversation."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import Engine, FakeDecoder, Precision, Question, Sampling
from rim_runtime.bundle.folder import Bundle
from rim_runtime.calibration import Calibration, keep_calibration
from rim_runtime.generate.readout import Readout
from rim_runtime.testing import fake_engine

from rim_edge.cli.asking.answering import Answering, Wanted
from rim_edge.cli.asking.conversation import converse
from rim_edge.cli.asking.form import Form
from rim_edge.cli.asking.writing import write_answer
from rim_edge.cli.asking.writing_options import WritingOptions
from tests.places import DEMO_FOLDER, REPOSITORY
from tests.text_bundle import TextBundle
from tests.text_bundle import text_bundle as text_bundle

Run = Callable[..., Any]
PLAIN = WritingOptions()
NEW, INDENTED = "\n", "\n   "


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


def test_samples_are_numbered_texts(ask: Run, text_bundle: TextBundle) -> None:
    drawn = Sampling(temperature=1.0, top_p=0.9, seed=4)
    with Engine.load(text_bundle.path) as engine:
        texts = engine.sample("Where is Ben?", 3, max_tokens=5, sampling=drawn)
    said = ("Where is Ben?", "--samples", "3", "--temperature", "1", "--top-p", "0.9", "--seed", "4")
    body = ask(*said, "--max-tokens", "5", "--json").json
    assert [one["tokens"] for one in body["samples"]] == [list(text.tokens) for text in texts]
    assert len({text.text for text in texts}) == 3
    assert ask(*said, "--max-tokens", "5", "-r").out == "".join(f"{text}\n" for text in texts)
    shown = ask(*said, "--max-tokens", "5").out
    assert "".join(f"{n}  {text.text.replace(NEW, INDENTED)}\n" for n, text in enumerate(texts, 1)) in shown
    assert "8 blocks · ort-cpu · fp32 · 3 samples, 15 tokens, 3 cut (--max-tokens) · first after " in shown


def test_rows_without_options_are_answered_in_words(ask: Run, text_bundle: TextBundle) -> None:
    rows = [{"id": 1, "question": "Where?"}, {"question": "Which?", "options": ["x", "y"]}, {"question": ""}]
    given = "".join(json.dumps(row) + "\n" for row in rows).encode()
    lines = ask("--jsonl", "--max-tokens", "4", "--blocks", "2", stdin=given).out.splitlines()
    text, letter, failed = map(json.loads, lines)
    with Engine.load(text_bundle.path) as engine:
        assert text["text"] == engine.generate("Where?", max_tokens=4, blocks=2).result().text
    assert (text["id"], letter["letter"] in "AB", "error" in failed) == (1, True, True)
    drawn = ask("--jsonl", "--samples", "2", "--temperature", "1", "--max-tokens", "4", stdin=given)
    assert len(json.loads(drawn.out.splitlines()[0])["samples"]) == 2
    read = ask("--jsonl", "--readout", "generate", stdin=given)
    assert all("generated" in json.loads(line) for line in read.out.splitlines()[:2])


def test_a_letter_of_generated_text(ask: Run, run: Run, text_bundle: TextBundle, tiny_bundle: Path) -> None:
    said = ("Which?", "-c", "this", "-c", "that", "--readout", "generate")
    with Engine.load(text_bundle.path) as engine:
        answer = engine.generate_letter("Which?", ["this", "that"])
    body = ask(*said, "--json").json
    assert (body["letter"], body["bare"]) == (answer.letter, answer.bare)
    assert body["generated"]["text"] == answer.generated.text
    assert ask(*said, "-r").out == f"{answer.letter or ''}\n"
    assert f"generated {answer.generated.text!r}, which does not begin with a bare letter" in ask(*said).out
    refused = run(*("ask", *said, "-b", str(tiny_bundle)))
    assert (refused.code, refused.out) == (2, "")
    assert "rim-edge export --answers text" in refused.err


def test_what_is_printed_of_a_generated_letter(capsys: pytest.CaptureFixture[str]) -> None:
    question = Question("Which?", ["this", "that"])
    for written, shown in (
        ("it is B.", "B  that\n"),
        ("it is C.", "C  (not offered)\n"),
        ("neither", "no letter from A to J in what was generated\n"),
    ):
        engine = fake_engine(decoder=FakeDecoder(written))
        wanted = Wanted(None, Readout.GENERATE, None)
        Answering(engine, DEMO_FOLDER, wanted).print(question, Form.PEOPLE)
        out = capsys.readouterr().out
        assert out.startswith(f"\n  {shown}\n")
        assert f"generated '{written}', which does not begin with a bare letter" in out


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
        (("Where?", "--samples", "3"), "--samples is 3, and without a temperature all of them are the same"),
        (("Where?", "--samples", "3", "--temperature", "0"), "without a temperature"),
        (("Where?", "--samples", "0", "--temperature", "1"), "expected a whole number from 1 to 1000"),
        (("Where?", "--samples", "1001", "--temperature", "1"), "expected a whole number from 1 to 1000"),
        (("Where?", "--top-p", "0.5"), "--top-p draws nothing without a temperature"),
        (("Where?", "--top-p", "0", "--temperature", "1"), "top_p is 0.0, expected a number above 0"),
        (
            ("Which?", "-c", "x", "-c", "y", "--samples", "2", "--temperature", "1"),
            "--temperature, --samples: this",
        ),
        (("--jsonl", "--samples", "3"), "without a temperature"),
        (("Where?", "--readout", "generate", "--samples", "2"), "--readout generate and --samples exclude"),
        (("Where?", "--min-confidence", "0.5"), "--min-confidence is for letters, and a question without options"),
        (("Where?", "--permute"), "--permute is for letters, and a question without options is answered in words"),
        (("Where?", "--readout", "letter"), "expected one of: single-pass, generate"),
    ],
)
def test_wrong_uses_are_refused(ask: Run, given: tuple[str, ...], said: str) -> None:
    done = ask(*given)
    assert done.code == 2
    assert said in done.err


def test_a_row_without_options_has_no_confidence(ask: Run, text_bundle: TextBundle) -> None:
    manifest = Bundle.load(text_bundle.path).manifest
    made = Calibration(1.0, 0.9, 0.5, manifest.prompt.blocks, 100, "rows.jsonl", "0" * 64)
    keep_calibration(manifest, Precision.FP32, made)
    rows = b'{"question": "Where?"}\n{"question": "Which?", "options": ["a", "b"]}\n'
    done = ask("--jsonl", "--min-confidence", "0", stdin=rows)
    words, letter = map(json.loads, done.out.splitlines())
    assert (done.code, words["error"]["kind"], words["line"]) == (2, "question", 1)
    assert letter["letter"] in ("A", "B") and not letter["calibrated"]["held_back"]


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
    wanted = Wanted(None, Readout.SINGLE_PASS, PLAIN)
    answering = Answering(engine, DEMO_FOLDER, wanted)

    class Lines:
        sending = ""
        left = iter(["Where?", "And now?", "Which?\nA: x\nB: y"])

        def read(self) -> str | None:
            return next(self.left, None)

    converse(lambda question: answering.print(question, Form.RAW), Lines())
    shown = capsys.readouterr()
    assert re.fullmatch(r"in in the kitchen\n[AB]\n", shown.out)
    assert "stopped" in shown.err


def test_a_terminal_obeys_no_control_characters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

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
